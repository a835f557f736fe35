"""Plans: what a profile becomes, as ops."""

import re
import struct
from posixpath import dirname, join, normpath

import pytest

from nvsim import ops, plan_host, profile
from nvsim.errors import NvsimError
from nvsim.ops import BoardLibrary, CharDev, Dir, File, Library, Op, Socket, Symlink
from nvsim.plan import plan
from nvsim.plan_proc import mig_minors_text, power_text

LIB = "/usr/lib/x86_64-linux-gnu"
LIBRARIES_550 = {
    "libEGL_nvidia", "libGLESv1_CM_nvidia", "libGLESv2_nvidia", "libGLX_nvidia", "libcuda", "libcudadebugger",
    "libglxserver_nvidia", "libnvcuvid", "libnvidia-allocator", "libnvidia-cfg", "libnvidia-eglcore",
    "libnvidia-encode", "libnvidia-fbc", "libnvidia-glcore", "libnvidia-glsi", "libnvidia-glvkspirv",
    "libnvidia-gpucomp", "libnvidia-ml", "libnvidia-ngx", "libnvidia-nscq", "libnvidia-nvvm", "libnvidia-opencl",
    "libnvidia-opticalflow", "libnvidia-pkcs11-openssl3", "libnvidia-ptxjitcompiler", "libnvidia-rtcore",
    "libnvidia-tls", "libnvoptix", "libvdpau_nvidia"}


def planned(text: str) -> dict[str, Op]:
    return {op.path: op for op in plan(profile.parse(text, "host.yaml"))}


def host(**changes: object) -> dict[str, Op]:
    return {op.path: op for op in plan(profile.of({"profile": "t4x1", **changes}, "host"))}


def text_of(found: dict[str, Op], path: str) -> str:
    op = found[path]
    assert isinstance(op, File)
    return op.data.decode()


def cached(found: dict[str, Op], path: str = "/etc/ld.so.cache") -> bytes:
    op = found[path]
    assert isinstance(op, File)
    return op.data


@pytest.mark.parametrize("name", profile.names())
def test_a_folder_comes_before_its_entries_and_they_follow_each_other(name: str) -> None:
    found = plan(profile.load(name))
    folders = {""}
    left: set[str] = set()
    current = ""
    for op in found:
        parent = dirname(op.path).rstrip("/")
        assert parent in folders, op.path
        if parent != current:
            assert parent not in left, f"{parent} is entered twice"
            left.add(current)
            current = parent
        if isinstance(op, Dir):
            folders.add(op.path)
    assert len({op.path for op in found}) == len(found)


@pytest.mark.parametrize("name", profile.names())
def test_a_plan_is_the_same_each_time_and_says_what_it_does(name: str) -> None:
    found = plan(profile.load(name))
    assert found == plan(profile.load(name))
    assert all(op.path in op.describe() for op in found)


def test_every_library_of_550_is_there_with_soname_and_links() -> None:
    found = {op.path: op for op in plan(profile.load("a100x8"))}
    libraries = {op.path: op for op in found.values() if isinstance(op, (Library, BoardLibrary))}
    native = [path for path in libraries if path.startswith(f"{LIB}/") and libraries[path].arch == "x86_64"]
    suffix = ".so.550.54.15"
    assert {path.rpartition("/")[2].removesuffix(suffix) for path in native if path.endswith(suffix)} == LIBRARIES_550
    assert libraries[f"{LIB}/libcuda.so.550.54.15"].soname == "libcuda.so.1"
    links = {op.path: op.target for op in found.values() if isinstance(op, Symlink)}
    assert links[f"{LIB}/libcuda.so.1"] == "libcuda.so.550.54.15"
    assert links[f"{LIB}/libcuda.so"] == "libcuda.so.1"
    assert links[f"{LIB}/gbm/nvidia-drm_gbm.so"] == "../libnvidia-allocator.so.550.54.15"
    assert f"{LIB}/vdpau/libvdpau_nvidia.so.550.54.15" in libraries
    assert f"{LIB}/nvidia/xorg/nvidia_drv.so" in libraries
    # 565 and later, EL8, 575 and later: not on this host.
    assert not re.search("sandboxutils|pkcs11.so|nvvm70", " ".join(libraries))


def test_a_library_that_another_one_needs_is_on_the_host() -> None:
    found = {op.path: op for op in plan(profile.load("a100x8"))}
    libraries = [op for op in found.values() if isinstance(op, Library)]
    names = {path.rpartition("/")[2] for path in found}
    ours = {name for op in libraries for name in op.needed if "nvidia" in name or "nvcuvid" in name}
    assert ours
    assert ours <= names


def test_32_bit_libraries_are_i386_and_can_be_left_out() -> None:
    folder = "/usr/lib/i386-linux-gnu"
    found = host(compat32=True)
    stub = found[f"{folder}/libnvidia-ml.so.550.54.15"]
    assert isinstance(stub, Library)
    assert (stub.arch, stub.soname) == ("i386", "libnvidia-ml.so.1")
    assert f"{folder}/vdpau/libvdpau_nvidia.so.1" in found
    assert not [path for path in host(compat32=False) if path.startswith(folder)]


def test_libnvidia_tls_carries_the_abi_note_that_libnvidia_container_asks_for() -> None:
    tls = host()[f"{LIB}/libnvidia-tls.so.550.54.15"]
    assert isinstance(tls, Library)
    assert tls.abi == (2, 3, 99)


def test_libraries_without_kernel_modules() -> None:
    found = host(kernel_driver="none")
    board = found[f"{LIB}/libnvidia-ml.so.550.54.15"]
    assert isinstance(board, BoardLibrary)
    assert not board.board.driver_loaded
    assert not [path for path in found if path.startswith(("/dev/nvidia", "/proc/driver/", "/sys/module/nvidia"))]
    assert "nvidia" not in text_of(found, "/proc/devices") + text_of(found, "/proc/modules")
    bus = "/sys/bus/pci/devices/0000:00:1e.0"
    assert bus in found
    assert f"{bus}/driver" not in found


def test_kernel_modules_without_libraries() -> None:
    found = host(driver="none", kernel_driver="550.54.15")
    assert not [op for op in found.values() if isinstance(op, (Library, BoardLibrary))]
    assert not [path for path in found if path.startswith(("/usr/bin/", "/run/"))]
    assert isinstance(found["/dev/nvidia0"], CharDev)


def test_a_version_mismatch_shows_the_kernel_version_in_proc_and_both_on_the_board() -> None:
    found = host(kernel_driver="535.261.03")
    board = found[f"{LIB}/libnvidia-ml.so.550.54.15"]
    assert isinstance(board, BoardLibrary)
    assert (board.board.driver_version, board.board.kernel_version) == ("550.54.15", "535.261.03")
    assert " 535.261.03 " in text_of(found, "/proc/driver/nvidia/version")
    assert text_of(found, "/sys/module/nvidia/version") == "535.261.03\n"
    assert "195 nvidia-frontend\n" in text_of(found, "/proc/devices")


def test_a_minor_that_is_not_the_index_names_node_and_capability_folder() -> None:
    found = planned("""{driver: 550.54.15, gpus: [{model: A100-SXM4-40GB, minors: [5]}]}""")
    assert "/dev/nvidia5" in found
    assert "/dev/nvidia0" not in found
    assert "/proc/driver/nvidia/capabilities/gpu5/mig" in found
    assert "Device Minor: \t 5\n" in text_of(found, "/proc/driver/nvidia/gpus/0000:07:00.0/information")
    board = found[f"{LIB}/libnvidia-ml.so.550.54.15"]
    assert isinstance(board, BoardLibrary)
    assert [gpu.minor for gpu in board.board.gpus] == [5]


def test_information_has_the_blanks_and_tabs_of_the_driver() -> None:
    uuid = "GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77"
    found = planned("{driver: 550.54.15, gpus: [{model: A100-SXM4-40GB, uuids: [" + uuid + "]}]}")
    assert text_of(found, "/proc/driver/nvidia/gpus/0000:07:00.0/information") == (
        "Model: \t\t NVIDIA A100-SXM4-40GB\nIRQ:   \t\t 202\n"
        f"GPU UUID: \t {uuid}\nVideo BIOS: \t 92.00.45.00.03\nBus Type: \t PCIe\nDMA Size: \t 47 bits\n"
        "DMA Mask: \t 0x7fffffffffff\nBus Location: \t 0000:07:00.0\nDevice Minor: \t 0\nGPU Firmware: \t 550.54.15\n"
        "GPU Excluded:\t No\n")


def test_the_version_line_of_closed_and_open_modules() -> None:
    path = "/proc/driver/nvidia/version"
    assert text_of(host(), path).splitlines()[0] == (
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 UTC 2024")
    assert text_of(host(driver="565.57.01"), path).splitlines()[0] == (
        "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  565.57.01  Release Build  (dvs-builder@U16-A24-9-2)  "
        "Thu Oct 10 12:15:00 UTC 2024")


def test_geforce_boards_run_no_gsp_firmware_under_the_closed_550_module() -> None:
    closed = {op.path: op for op in plan(profile.load("rtx4060ti"))}
    opened = {op.path: op for op in plan(profile.of({"profile": "rtx4060ti", "kernel_module": "open"}, "host"))}
    path = "/proc/driver/nvidia/gpus/0000:01:00.0/information"
    assert "GPU Firmware: \t N/A\n" in text_of(closed, path)
    assert "GPU Firmware: \t 550.54.15\n" in text_of(opened, path)


def test_params_of_550_in_order() -> None:
    lines = text_of(host(), "/proc/driver/nvidia/params").splitlines()
    assert len(lines) == 33 + 6
    assert lines[:3] == ["ResmanDebugLevel: 4294967295", "RmLogonRC: 1", "ModifyDeviceFiles: 1"]
    assert lines[30:34] == ["OpenRmEnableUnsupportedGpus: 1", "DmaRemapPeerMmio: 1", "ImexChannelCount: 2048",
                            'RegistryDwords: ""']
    assert lines[-1] == 'ExcludedGpus: ""'


def test_params_of_595_have_its_own_lines() -> None:
    text = text_of(host(driver="595.71.05"), "/proc/driver/nvidia/params")
    assert "PreserveVideoMemoryAllocations: 2\nUseKernelSuspendNotifiers: 0\n" in text
    assert 'CoherentGPUMemoryMode: ""\n' in text
    assert "TCEBypassMode" not in text


def test_mig_minors_count_135_for_each_gpu() -> None:
    lines = mig_minors_text().splitlines()
    assert lines[:4] == ["config 1", "monitor 2", "gpu0/gi0/access 3", "gpu0/gi0/ci0/access 4"]
    assert {"gpu0/gi7/access 66", "gpu1/gi1/ci0/access 148"} <= set(lines)
    assert lines[-1] == "gpu31/gi14/ci7/access 4322"
    assert len(lines) == 2 + 32 * 135


def test_proc_devices_counts_up_and_agrees_with_the_nodes() -> None:
    found = {op.path: op for op in plan(profile.load("a100x8"))}
    characters = text_of(found, "/proc/devices").split("\n\n")[0].splitlines()[1:]
    numbers = [int(line.split()[0]) for line in characters]
    assert numbers == sorted(numbers)
    named = {line.split()[1]: int(line.split()[0]) for line in characters}
    nodes = {op.path: (op.major, op.minor) for op in found.values() if isinstance(op, CharDev)}
    assert nodes["/dev/nvidia7"] == (named["nvidia"], 7) == (195, 7)
    assert nodes["/dev/nvidiactl"] == (named["nvidiactl"], 255)
    assert nodes["/dev/nvidia-uvm-tools"] == (named["nvidia-uvm"], 1)
    assert nodes["/dev/nvidia-caps/nvidia-cap1"] == (named["nvidia-caps"], 1)
    assert nodes["/dev/nvidia-nvswitch5"] == (named["nvidia-nvswitch"], 5)
    assert nodes["/dev/dri/renderD135"] == (named["drm"], 135)


def test_the_power_file_grows_with_the_branch() -> None:
    sizes = [len(power_text(branch).splitlines()) for branch in (550, 555, 570, 590)]
    assert sizes == [6, 10, 12, 13]


def test_drm_nodes_links_and_sysfs_name_the_same_card() -> None:
    found = {op.path: op for op in plan(profile.load("a100x8"))}
    links = {op.path: op.target for op in found.values() if isinstance(op, Symlink)}
    assert links["/dev/dri/by-path/pci-0000:07:00.0-card"] == "../card1"  # card0 is the BMC's
    assert links["/dev/dri/by-path/pci-0000:07:00.0-render"] == "../renderD128"
    place = "/sys" + links["/sys/bus/pci/devices/0000:07:00.0"].removeprefix("../../..")
    assert text_of(found, f"{place}/drm/card1/dev") == "226:1\n"
    assert isinstance(found["/dev/dri/card0"], CharDev)


def test_nvidia_nodes_get_dev_char_links_only_when_asked() -> None:
    assert "/dev/char/195:0" not in host()
    link = host(dev_char_links=True)["/dev/char/195:0"]
    assert link == Symlink(path="/dev/char/195:0", target="../nvidia0")


@pytest.mark.parametrize("name", ["a100x8", "rtx4060ti"])
def test_every_link_below_sys_leads_to_something(name: str) -> None:
    found = {op.path: op for op in plan(profile.load(name))}
    links = [op for op in found.values() if isinstance(op, Symlink) and op.path.startswith("/sys/")]
    dangling = {target for op in links if (target := normpath(join(dirname(op.path), op.target))) not in found}
    assert links
    assert not dangling


def test_config_space_says_what_the_text_files_say() -> None:
    found = {op.path: op for op in plan(profile.load("a100x8"))}
    place = next(path for path in found if path.endswith("/0000:07:00.0") and path.startswith("/sys/devices"))
    config = found[f"{place}/config"]
    assert isinstance(config, File)
    assert (len(config.data), config.size) == (256, 4096)
    vendor, device, _, _, revision, interface, sub, base = struct.unpack_from("<HHHHBBBB", config.data)
    assert text_of(found, f"{place}/vendor") == f"0x{vendor:04x}\n" == "0x10de\n"
    assert text_of(found, f"{place}/device") == f"0x{device:04x}\n" == "0x20b0\n"
    assert text_of(found, f"{place}/class") == f"0x{base:02x}{sub:02x}{interface:02x}\n" == "0x030200\n"
    assert text_of(found, f"{place}/revision") == f"0x{revision:02x}\n"
    assert struct.unpack_from("<HH", config.data, 44) == (0x10DE, 0x134F)
    lines = [[int(n, 16) for n in line.split()] for line in text_of(found, f"{place}/resource").splitlines()]
    assert len(lines) == 13
    bar1, = struct.unpack_from("<Q", config.data, 20)
    assert lines[1][0] == bar1 & ~0xF
    assert lines[1][1] - lines[1][0] + 1 == 64 << 30
    assert text_of(found, f"{place}/uevent").startswith("DRIVER=nvidia\nPCI_CLASS=30200\nPCI_ID=10DE:20B0\n")


def test_gpus_do_not_share_addresses() -> None:
    found = {op.path: op for op in plan(profile.load("h100x8"))}
    ranges = sorted((int(start, 16), int(end, 16)) for path in found if path.endswith("/resource")
                    for start, end, _ in (line.split() for line in text_of(found, path).splitlines()) if int(end, 16))
    assert len(ranges) == 8 * 3 + 4
    assert all(before[1] < after[0] for before, after in zip(ranges, ranges[1:], strict=False))


def test_sockets_are_there_while_the_daemons_run() -> None:
    assert isinstance(host()["/run/nvidia-persistenced/socket"], Socket)
    assert "/run/nvidia-persistenced/socket" not in host(persistenced=False)
    assert "/run/nvidia-persistenced/socket" not in host(kernel_driver="none")
    assert any(op.path == "/run/nvidia-fabricmanager/socket" for op in plan(profile.load("a100x8")))


def test_absent_takes_files_folders_and_patterns() -> None:
    found = host(absent=["/dev/nvidia-uvm*", "/proc/driver/nvidia/capabilities", "/**/*.json"])
    assert not [path for path in found if re.search("nvidia-uvm(-tools)?$|/capabilities|json$", path)
                and path.startswith(("/dev", "/proc/driver/nvidia/", "/usr"))]
    assert "/dev/nvidia0" in found


def test_absent_may_name_a_path_through_a_link() -> None:
    found = host(absent=["/lib/firmware/nvidia"])
    assert not [path for path in found if "firmware/nvidia" in path]


def test_absent_that_matches_nothing_is_an_error() -> None:
    with pytest.raises(NvsimError, match="/dev/nvidia9") as caught:
        host(absent=["/dev/nvidia9"])
    assert caught.value.source == "profile t4x1: absent"


def test_a_library_that_is_absent_leaves_a_fresh_cache_and_stays_in_a_stale_one() -> None:
    gone = [f"{LIB}/libcuda.so.550.54.15"]
    assert b"libcuda.so.1\0" in cached(host())
    assert b"libcuda.so.1\0" not in cached(host(absent=gone))
    assert cached(host(absent=gone, ldcache="stale")) == cached(host())


def test_a_cache_may_lack_names_or_be_absent() -> None:
    lacking = cached(host(ldcache={"lacks": ["libnvidia-ml.so*"]}))
    assert b"libnvidia-ml" not in lacking
    assert b"libcuda.so.1\0" in lacking
    assert "/etc/ld.so.cache" not in host(ldcache="absent")


def test_files_replace_text_and_keep_the_mode() -> None:
    path = "/proc/driver/nvidia/params"
    found = host(files={path: "ModifyDeviceFiles: 0\n", "/lib/new/file": "x"})
    assert found[path] == File(path=path, data=b"ModifyDeviceFiles: 0\n", mode=0o444)
    assert found["/usr/lib/new/file"] == File(path="/usr/lib/new/file", data=b"x")
    assert isinstance(found["/usr/lib/new"], Dir)


@pytest.mark.parametrize("path", ["/usr/lib", "/dev/nvidia0/x"])
def test_a_file_where_a_folder_is_or_below_a_file_is_an_error(path: str) -> None:
    with pytest.raises(NvsimError, match="folder"):
        host(files={path: "x"})


def test_a_driver_root_holds_files_and_cache_and_both_hold_nodes() -> None:
    root = "/run/nvidia/driver"
    found = host(driver_root=root)
    assert isinstance(found[f"{root}{LIB}/libnvidia-ml.so.550.54.15"], BoardLibrary)
    assert b"libnvidia-ml.so.1\0" in cached(found, f"{root}/etc/ld.so.cache")
    assert b"nvidia" not in cached(found)
    assert f"{LIB}/libcuda.so.1" not in found
    assert found[f"{root}/dev/nvidia0"].describe().endswith(found["/dev/nvidia0"].describe()[-24:])
    assert root + "/proc/devices" not in found


def test_with_a_dev_root_the_hosts_dev_has_the_nodes_of_drm_alone() -> None:
    root = "/run/nvidia/driver"
    found = host(driver_root=root, dev_root=root, dev_char_links=True)
    devices = {path for path, op in found.items() if isinstance(op, CharDev)}
    assert {f"{root}/dev/nvidia0", f"{root}/dev/nvidiactl", f"{root}/dev/nvidia-caps/nvidia-cap1"} <= devices
    assert {path for path in devices if not path.startswith(root)} == {"/dev/dri/card0", "/dev/dri/renderD128"}
    library = found[f"{root}{LIB}/libnvidia-ml.so.550.54.15"]
    assert isinstance(library, BoardLibrary)
    assert library.board.dev_root == root


def test_the_operator_flags_a_driver_container_and_where_its_nodes_are() -> None:
    root = "/run/nvidia/driver"
    found = host(driver_root=root, operator=True)
    assert text_of(found, "/run/nvidia/validations/driver-ready") == (
        f"IS_HOST_DRIVER=false\nNVIDIA_DRIVER_ROOT={root}\nDRIVER_ROOT_CTR_PATH=/driver-root\n"
        f"NVIDIA_DEV_ROOT={root}\nDEV_ROOT_CTR_PATH=/driver-root\n")
    assert "/run/nvidia/validations/.driver-ctr-ready" in found
    assert text_of(found, "/sys/module/firmware_class/parameters/path") == f"{root}/lib/firmware\n"


def test_the_operator_flags_a_driver_that_was_installed_before() -> None:
    found = host(operator=True)
    assert text_of(found, "/run/nvidia/validations/driver-ready") == (
        "IS_HOST_DRIVER=true\nNVIDIA_DRIVER_ROOT=/\nDRIVER_ROOT_CTR_PATH=/host\n"
        "NVIDIA_DEV_ROOT=/\nDEV_ROOT_CTR_PATH=/host\n")
    assert "/run/nvidia/validations/.driver-ctr-ready" not in found
    assert text_of(found, "/sys/module/firmware_class/parameters/path") == "\n"


def test_the_operator_flags_nothing_before_the_driver_is_ready() -> None:
    assert not any("validations" in path for path in host(operator=True, kernel_driver="none"))


def test_gpus_bound_to_vfio_are_in_sys_and_dev_vfio_and_nowhere_else() -> None:
    found = host(vfio=[{"model": "RTX-4090", "bus_ids": ["41:00.0"]}])
    place = next(path for path in found if path.endswith("/0000:41:00.0/vendor")).rpartition("/")[0]
    driver, group = found[f"{place}/driver"], found[f"{place}/iommu_group"]
    assert isinstance(driver, Symlink) and driver.target.endswith("bus/pci/drivers/vfio-pci")
    assert isinstance(group, Symlink) and group.target.endswith("kernel/iommu_groups/40")
    assert {path.rpartition("/")[2] for path in found if path.startswith("/sys/kernel/iommu_groups/40/devices/")} == {
        "0000:41:00.0", "0000:41:00.1"}  # with its sound function
    assert {path for path in found if path.startswith("/dev/vfio/")} == {"/dev/vfio/40", "/dev/vfio/vfio"}
    assert "/proc/driver/nvidia/gpus/0000:41:00.0" not in found
    assert "/dev/nvidia1" not in found and "/dev/dri/card1" not in found
    library = found[f"{LIB}/libnvidia-ml.so.550.54.15"]
    assert isinstance(library, BoardLibrary) and len(library.board.gpus) == 1


def test_storage_and_copy_modules_use_the_drivers_module() -> None:
    found = host(gds=True, gdrcopy=True)
    assert {path for path in found if "/dev/nvidia-fs" in path} == {f"/dev/nvidia-fs{i}" for i in range(16)}
    assert "509 nvidia-fs\n" in text_of(found, "/proc/devices")
    users = "nvidia_fs,gdrdrv,nvidia_uvm,nvidia_modeset,"
    assert re.search(rf"^nvidia \d+ 4 {users}", text_of(found, "/proc/modules"), re.M)
    assert text_of(found, "/sys/module/nvidia/refcnt") == "4\n"
    assert "/proc/driver/nvidia-fs/version" in found
    without = host(gds=True, gdrcopy=True, kernel_driver="none")
    assert not any("nvidia-fs" in path or "gdrdrv" in path for path in without)


def test_rdma_ports_have_their_nodes_with_and_without_a_driver() -> None:
    for found in (host(mofed=2), host(mofed=2, driver="none")):
        ports = {path: (op.major, op.minor, op.mode) for path, op in found.items()
                 if isinstance(op, CharDev) and "infiniband" in path}
        assert ports["/dev/infiniband/uverbs1"] == (231, 193, 0o666)
        assert ports["/dev/infiniband/umad1"] == (231, 1, 0o600)
        assert len(ports) == 7


def test_mps_has_its_pipes_where_the_daemon_or_kubernetes_puts_them() -> None:
    found = host(mps=True)
    assert {path for path in found if path.startswith("/tmp/nvidia-mps/")} == {
        f"/tmp/nvidia-mps/{name}"
        for name in ("control", "control_lock", "control_privileged", "log", "nvidia-cuda-mps-control.pid")}
    library = found[f"{LIB}/libnvidia-ml.so.550.54.15"]
    assert isinstance(library, BoardLibrary) and library.board.gpus[0].compute_mode == 3
    operator = host(mps=True, operator=True)
    assert "/run/nvidia/mps/nvidia.com/gpu/pipe/control" in operator
    assert not any(path.startswith("/tmp") for path in operator)


def test_the_gpus_of_an_hgx_2_are_linked_to_the_nvswitches_of_their_own_board() -> None:
    gpus = plan_host.host(profile.load("v100x16")).gpus
    first, second = ({gpu.board.nvlink_remote[:6] for gpu in half} for half in (gpus[:8], gpus[8:]))
    assert len(first) == len(second) == 1
    assert not set(*first) & set(*second)


def test_other_branches_come_from_the_catalogue() -> None:
    old = host(driver="470.82.01")
    assert isinstance(old[f"{LIB}/libnvidia-compiler.so.470.82.01"], Library)
    assert f"{LIB}/libnvidia-nvvm.so.4.0.0" in old
    assert "/usr/lib/firmware/nvidia/470.82.01/gsp.bin" in old
    new = host(driver="595.71.05")
    assert f"{LIB}/libnvidia-sandboxutils.so.1" in new
    assert "/usr/share/egl/egl_external_platform.d/20_nvidia_xcb.json" in new


def test_without_a_driver_only_the_hardware_and_the_distribution_are_there() -> None:
    found = plan(profile.load("no-driver"))
    assert not [op.path for op in found if isinstance(op, (CharDev, Library, BoardLibrary, Socket, ops.Artifact))]
    assert not [op.path for op in found if "nvidia" in op.path]
    assert any(op.path == "/sys/bus/pci/devices/0000:00:1e.0" for op in found)


def test_a_gpu_on_every_bus_of_a_large_host_has_a_place_of_its_own() -> None:
    found = planned("{driver: 550.54.15, gpus: [{model: A100-SXM4-40GB, count: 64}]}")
    devices = [op.target for op in found.values()
               if isinstance(op, Symlink) and op.path.startswith("/sys/bus/pci/devices")]
    assert len(devices) == len(set(devices)) == 2 * 64 + 2 * 6


def test_debian_splits_the_driver_and_links_it_by_way_of_its_alternatives() -> None:
    found = host(layout="debian12", compat32=True)
    assert f"{LIB}/nvidia/current/libcuda.so.550.54.15" in found
    assert f"{LIB}/libnvidia-eglcore.so.550.54.15" in found
    assert f"{LIB}/libcuda.so.550.54.15" not in found
    for triplet in ("x86_64-linux-gnu", "i386-linux-gnu"):
        alternative = f"/etc/alternatives/nvidia--libcuda.so.1-{triplet}"
        link, chosen = found[f"/usr/lib/{triplet}/libcuda.so.1"], found[alternative]
        assert isinstance(link, Symlink) and link.target == alternative
        assert isinstance(chosen, Symlink) and chosen.target == f"/usr/lib/{triplet}/nvidia/current/libcuda.so.1"


def test_packages_of_rpm_distributions_leave_out_most_links_for_the_compile_time_linker() -> None:
    found = host(layout="rhel9")
    assert "/usr/lib64/libcuda.so" in found and "/usr/lib64/libnvidia-ml.so.1" in found
    assert "/usr/lib64/libnvidia-ml.so" not in found
    assert isinstance(found["/usr/lib64/xorg/modules/extensions/libglxserver_nvidia.so"], Library)
    vulkan = found["/usr/share/vulkan/icd.d/nvidia_icd.x86_64.json"]
    assert isinstance(vulkan, File) and b'"/usr/lib64/libGLX_nvidia.so.0"' in vulkan.data


def test_the_library_for_openssl_is_that_of_the_distribution() -> None:
    assert "/usr/lib64/libnvidia-pkcs11.so.550.54.15" in host(layout="rhel8")
    assert "/usr/lib64/libnvidia-pkcs11-openssl3.so.550.54.15" in host(layout="rhel9")
    assert "/usr/lib64/libnvidia-pkcs11-openssl3.so.550.54.15" not in host(layout="rhel8")
    assert "/usr/lib64/gbm/nvidia-drm_gbm.so" not in host(layout="rhel8")
