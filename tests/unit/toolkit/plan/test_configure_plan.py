"""What configure plans, from plain values."""

import pytest

from toolkit.errors import HostError, RequestError
from toolkit.model.native import Container, Driver, Gpu, Host, MigDevice, Node, ProcFile, Request
from toolkit.model.ops import AddToProfile, AllowDevice, Bind, Op, RunLdconfig, Symlink, WriteFile
from toolkit.plan.configure import plan_configure

V = "550.54.15"
L = "/usr/lib/x86_64-linux-gnu"
MIG = MigDevice(index=0, uuid="MIG-0", gpu_index=0, gpu_minor=0, gpu_instance=1, compute_instance=0)
GPUS = (
    Gpu(index=0, minor=0, uuid="GPU-0", bus_id="00000000:07:00.0", mig_capable=True, migs=(MIG,)),
    Gpu(index=1, minor=1, uuid="GPU-1", bus_id="00000000:0f:00.0"),
)
DEVICES = (Node("/dev/nvidiactl", 195, 255), Node("/dev/nvidia-uvm", 510, 0), Node("/dev/nvidia-modeset", 195, 254))
HOST = Host(
    driver=Driver(
        version=V,
        cuda_version="12.4",
        devices=DEVICES,
        firmware=(f"/lib/firmware/nvidia/{V}/gsp_ga10x.bin",),
        libraries=tuple(
            f"{L}/{name}.so.{V}" for name in ("libnvidia-ml", "libcuda", "libnvidia-opticalflow", "libGLX_nvidia")
        ),
        libraries32=(f"/usr/lib/i386-linux-gnu/libcuda.so.{V}",),
        binaries=("/usr/bin/nvidia-smi", "/usr/bin/nvidia-cuda-mps-server"),
        ipcs=("/run/nvidia-persistenced/socket", "/tmp/nvidia-mps"),
    ),
    gpus=GPUS,
    nodes=(
        *DEVICES,
        Node("/dev/nvidia0", 195, 0),
        Node("/dev/nvidia1", 195, 1),
        Node("/dev/nvidia-caps/nvidia-cap12", 237, 12),
        Node("/dev/nvidia-caps/nvidia-cap13", 237, 13),
    ),
    proc_files=(ProcFile("/proc/driver/nvidia/params", 0o444, b"ModifyDeviceFiles: 1\nModifyDeviceFiles: 1\n"),),
    proc_gpus=("0000:07:00.0", "00000000:0f:00.0"),
    caps_major=237,
    cap_minors=(
        (MIG.access_files[0], 12),
        (MIG.access_files[1], 13),
        ("/proc/driver/nvidia/capabilities/mig/config", 1),
    ),
    gpu_caps=((0, 12), (0, 13), (1, 40)),
)
CONTAINER = Container(rootfs="/c", libs_dir=L)
CUDA = ("compute", "utility")


def plan(host: Host = HOST, container: Container = CONTAINER, **request: object) -> tuple[Op, ...]:
    return plan_configure(Request(**{"capabilities": CUDA, **request}), host, container)  # type: ignore[arg-type]


def bound(ops: tuple[Op, ...]) -> list[str]:
    return [op.path for op in ops if isinstance(op, Bind)]


def allowed(ops: tuple[Op, ...]) -> list[tuple[int, int]]:
    return [(op.major, op.minor) for op in ops if isinstance(op, AllowDevice)]


def test_a_gpu_comes_with_its_node_its_directory_and_its_right() -> None:
    ops = plan(devices="1")
    assert bound(ops)[-2:] == ["/dev/nvidia1", "/proc/driver/nvidia/gpus/00000000:0f:00.0"]
    assert allowed(ops) == [(195, 255), (510, 0), (195, 1)]


def test_no_device_means_the_driver_alone() -> None:
    assert not [path for path in bound(plan()) if path.startswith("/dev/nvidia0")]
    assert "/dev/nvidiactl" in bound(plan())


@pytest.mark.parametrize(
    ("capabilities", "present", "absent"),
    [
        (("utility",), ["nvidia-smi", "libnvidia-ml", "nvidia-persistenced/socket"], ["libcuda", "nvidia-uvm", "mps"]),
        (
            ("compute",),
            ["libcuda", "nvidia-cuda-mps-server", "nvidia-uvm", "/tmp/nvidia-mps"],
            ["nvidia-smi", "libnvidia-ml"],
        ),
        (("video",), ["libcuda", "libnvidia-opticalflow", "nvidia-uvm"], ["nvidia-cuda-mps-server"]),
        (("graphics",), ["libGLX_nvidia"], ["nvidia-modeset", "libcuda"]),
        (("display",), ["libGLX_nvidia", "nvidia-modeset"], ["libcuda"]),
        ((), ["nvidiactl", "gsp_ga10x.bin"], ["libcuda", "libnvidia-ml", "nvidia-smi", "socket"]),
    ],
)
def test_capabilities_choose_the_files(capabilities: tuple[str, ...], present: list[str], absent: list[str]) -> None:
    paths = bound(plan(capabilities=capabilities))
    for name in present:
        assert [p for p in paths if name in p], name
    for name in absent:
        assert not [p for p in paths if p.rpartition("/")[2].startswith(name) or f"/{name}" in p], name


def test_only_the_first_modify_line_of_params_is_changed() -> None:
    (params,) = [op for op in plan() if isinstance(op, WriteFile)]
    assert params.content == b"ModifyDeviceFiles: 0\nModifyDeviceFiles: 1\n"


def test_links_that_no_ldconfig_makes() -> None:
    links = [
        (op.path, op.target)
        for op in plan(capabilities=("video", "graphics"), compat32=True)
        if isinstance(op, Symlink)
    ]
    assert links == [
        (f"{L}/libcuda.so", "libcuda.so.1"),
        (f"{L}/libnvidia-opticalflow.so", "libnvidia-opticalflow.so.1"),
        (f"{L}/libGLX_indirect.so.0", f"libGLX_nvidia.so.{V}"),
        ("/usr/lib/libcuda.so", "libcuda.so.1"),
    ]


def test_graphics_adds_each_gpu_to_the_profile() -> None:
    assert [op.minor for op in plan(capabilities=("graphics",), devices="all") if isinstance(op, AddToProfile)] == [
        0,
        1,
    ]


def test_without_devbind_rights_are_given_all_the_same() -> None:
    ops = plan(devices="0", no_devbind=True)
    assert not [path for path in bound(ops) if path.startswith("/dev/")]
    assert (195, 0) in allowed(ops)


def test_without_cgroups_no_rights_are_given() -> None:
    assert allowed(plan(devices="all", no_cgroups=True)) == []


def test_a_mig_device_gets_its_two_access_files_and_their_devices() -> None:
    ops = plan(devices="0:0")
    assert bound(ops)[-4:] == [
        MIG.access_files[0],
        "/dev/nvidia-caps/nvidia-cap12",
        MIG.access_files[1],
        "/dev/nvidia-caps/nvidia-cap13",
    ]
    assert allowed(ops)[-2:] == [(237, 12), (237, 13)]


def test_capabilities_without_devices_are_files_only() -> None:
    assert bound(plan(HOST._replace(caps_major=-1), devices="0:0"))[-2:] == list(MIG.access_files)


def test_mig_configuration_replaces_the_access_files() -> None:
    ops = plan(devices="all", mig_config="all")
    assert bound(ops)[-2:] == ["/proc/driver/nvidia/capabilities", "/dev/nvidia-caps"]
    assert allowed(ops)[-3:] == [(237, 1), (237, 12), (237, 13)]


@pytest.mark.parametrize(
    ("host", "request_", "error"),
    [
        (
            HOST._replace(nodes=DEVICES),
            {"devices": "0"},
            "mount error: stat failed: /dev/nvidia0: no such file or directory",
        ),
        (
            HOST._replace(nodes=(*DEVICES, Node("/dev/nvidia0", 195, 7))),
            {"devices": "0"},
            "mount error: invalid device node: /dev/nvidia0",
        ),
        (
            HOST._replace(driver=HOST.driver._replace(root="/run/nvidia/driver"), nodes=()),
            {},
            "mount error: stat failed: /run/nvidia/driver/dev/nvidiactl: no such file or directory",
        ),
        (
            HOST,
            {"imex_channels": (3,)},
            "mount error: stat failed: /dev/nvidia-caps-imex-channels/channel3: no such file or directory",
        ),
        (
            HOST._replace(proc_gpus=()),
            {"devices": "0"},
            "mount error: stat failed: /proc/driver/nvidia/gpus/0000:07:00.0: no such file or directory",
        ),
        (
            HOST._replace(cap_minors=()),
            {"devices": "0:0"},
            f"mount error: stat failed: {MIG.access_files[0]}: no such file or directory",
        ),
        (
            HOST._replace(cap_minors=((MIG.access_files[0], -1),)),
            {"devices": "0:0"},
            f"mount error: unable to get cap device attributes: {MIG.access_files[0]}: no such file or directory",
        ),
    ],
)
def test_what_is_missing_on_the_host_is_an_error_before_anything_is_done(
    host: Host, request_: dict[str, object], error: str
) -> None:
    with pytest.raises(HostError) as e:
        plan(host, **request_)
    assert str(e.value) == error


def test_a_placeholder_node_is_left_to_apply() -> None:
    host = HOST._replace(nodes=tuple(node._replace(major=0, minor=0, character=False) for node in HOST.nodes))
    assert (195, 0) in allowed(plan(host, devices="0"))


COMPAT = tuple(
    f"/usr/local/cuda-12/compat/{name}"
    for name in (
        "libcuda.so.535.1",
        "libcuda.so.560.2",
        "libcuda.so.550.99",
        "libcuda.so.5",
        "libcuda.so.x",
        "libcudart.so.12",
        "libnvidia-nvvm.so.560.1",
        "libcuda.so.5500.1",
    )
)


def compat(mode: str, **changes: object) -> tuple[list[str], tuple[str, ...]]:
    ops = plan(container=CONTAINER._replace(compat=COMPAT), cuda_compat_mode=mode, **changes)
    (last,) = [op for op in ops if isinstance(op, RunLdconfig)]
    return [op.source.rpartition("/")[2] for op in ops if isinstance(op, Bind) and op.origin == "container"], last.dirs


def test_compat_mount_takes_every_other_major() -> None:
    mounted, dirs = compat("mount")
    assert mounted == ["libcuda.so.535.1", "libcuda.so.560.2", "libnvidia-nvvm.so.560.1", "libcuda.so.5500.1"]
    assert dirs == (L, "/usr/lib")


def test_compat_ldconfig_searches_a_newer_directory_first() -> None:
    assert compat("ldconfig") == ([], ("/usr/local/cuda-12/compat", L, "/usr/lib"))


def test_compat_disabled_and_capabilities_without_cuda_leave_the_image_alone() -> None:
    assert compat("disabled") == ([], (L, "/usr/lib"))
    assert compat("mount", capabilities=("utility",))[0] == []


def test_compat_directories_have_to_be_one() -> None:
    two = ("/a/libcuda.so.560.1", "/b/libcuda.so.560.1")
    with pytest.raises(RequestError, match="container error: unusable CUDA compat"):
        plan(container=CONTAINER._replace(compat=two), cuda_compat_mode="ldconfig")


@pytest.mark.parametrize(
    ("option", "path", "host"),
    [("", "/sbin/ldconfig", False), ("@/sbin/ldconfig", "/sbin/ldconfig", True), ("/x/ldconfig", "/x/ldconfig", False)],
)
def test_ldconfig_is_the_hosts_only_when_asked_for(option: str, path: str, host: bool) -> None:
    last = plan(ldconfig=option)[-1]
    assert isinstance(last, RunLdconfig)
    assert (last.path, last.host) == (path, host)


def test_every_operation_describes_itself() -> None:
    for op in plan(devices="all", capabilities=(*CUDA, "graphics"), mig_config="all"):
        assert op.describe()


STORE = "/usr/lib/wsl/drivers/nv.inf"
WSL = HOST._replace(
    driver=HOST.driver._replace(
        store=STORE,
        store_files=("libcuda.so.1.1", "nvidia-smi"),
        firmware=(),
        devices=(Node("/dev/dxg", 10, 63),),
        libraries=tuple(f"/usr/lib/wsl/lib/{name}" for name in ("libcuda.so.1", "libnvcuvid.so.1", "libdxcore.so")),
    ),
    gpus=tuple(gpu._replace(minor=0, mig_capable=False, migs=()) for gpu in GPUS),
    nodes=(Node("/dev/dxg", 10, 63),),
)


def test_under_wsl_a_gpu_is_the_driver_store_and_one_device() -> None:
    ops = plan(WSL, devices="0", capabilities=("graphics", "display"))
    assert bound(ops) == [f"{L}/libdxcore.so", "/dev/dxg", f"{STORE}/libcuda.so.1.1", f"{STORE}/nvidia-smi"]
    assert [op for op in ops if isinstance(op, AllowDevice)] == [AllowDevice(major=10, minor=63)]
    assert not [op for op in ops if isinstance(op, WriteFile | AddToProfile)]


def test_under_wsl_no_device_means_no_driver_store() -> None:
    assert bound(plan(WSL, devices="", capabilities=("compute",))) == [
        "/usr/bin/nvidia-cuda-mps-server", f"{L}/libcuda.so.1", f"{L}/libdxcore.so", "/tmp/nvidia-mps", "/dev/dxg",
    ]  # fmt: skip


def test_the_log_names_paths_as_they_lie_on_the_machine() -> None:
    told = [op.describe("/c", "/drv") for op in plan(devices="0", capabilities=("utility",))]
    assert "mounting /drv/usr/bin/nvidia-smi at /c/usr/bin/nvidia-smi with flags 0x7" in told
    assert "mounting /drv/dev/nvidia0 at /c/dev/nvidia0" in told
    assert told[0] == "mounting tmpfs at /c/proc/driver/nvidia"
