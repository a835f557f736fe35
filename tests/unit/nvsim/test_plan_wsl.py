"""WSL 2 machines: what a profile with the key `wsl` becomes."""

import pytest

from nvsim import profile
from nvsim.errors import NvsimError
from nvsim.ops import BoardLibrary, CharDev, Dir, File, Op
from nvsim.plan import plan

LIB, STORES = "/usr/lib/wsl/lib", "/usr/lib/wsl/drivers"
INTEL, NEW, OLD = "iigd_dch.inf_amd64_73655f941b1dd71f", "nvlti.inf_amd64_9a2c79b60d6607c6", \
    "nvlti.inf_amd64_0b1f6a52c7d84e93"
# What a toolkit needs of a driver store.
REQUIRED = {"libcuda.so.1.1", "libcuda_loader.so", "libnvidia-ptxjitcompiler.so.1", "libnvidia-ml.so.1",
            "libnvidia-ml_loader.so", "libnvdxgdmal.so.1", "nvcubins.bin", "nvidia-smi"}


def host(name: str = "wsl2-rtx4090", **changes: object) -> dict[str, Op]:
    return {op.path: op for op in plan(profile.of({"profile": name, **changes}, "host"))}


def text_of(found: dict[str, Op], path: str) -> str:
    op = found[path]
    assert isinstance(op, File)
    return op.data.decode()


def library(found: dict[str, Op], path: str) -> BoardLibrary:
    op = found[path]
    assert isinstance(op, BoardLibrary)
    return op


def test_the_only_node_is_that_of_the_paravirtual_driver() -> None:
    nodes = [op for op in host().values() if isinstance(op, CharDev)]
    assert [(op.path, op.major, op.mode) for op in nodes] == [("/dev/dxg", 10, 0o666)]


def test_the_kernel_shows_nothing_of_nvidia_and_says_whose_it_is() -> None:
    found = host()
    assert not [path for path in found if path.startswith(("/proc/driver/", "/sys/", "/dev/nvidia"))]
    assert "nvidia" not in text_of(found, "/proc/devices") + text_of(found, "/proc/modules")
    assert "microsoft-standard-WSL2" in text_of(found, "/proc/version")
    assert " 63 dxg\n" in text_of(found, "/proc/misc")
    assert "/proc/sys/fs/binfmt_misc/WSLInterop" in found
    assert isinstance(found["/run/WSL"], Dir)


def test_the_loader_looks_into_the_folder_of_windows_libraries() -> None:
    found = host()
    assert LIB in text_of(found, "/etc/ld.so.conf.d/ld.wsl.conf").splitlines()
    cache = found["/etc/ld.so.cache"]
    assert isinstance(cache, File)
    for name in (b"libcuda.so.1", b"libnvidia-ml.so.1", b"libdxcore.so"):
        assert b"\0/usr/lib/wsl/lib/" + name + b"\0" in cache.data
    assert b"/usr/lib/wsl/drivers" not in cache.data


def test_libcuda_is_three_files_and_no_link() -> None:
    found = host()
    for name in ("libcuda.so", "libcuda.so.1", "libcuda.so.1.1"):
        assert library(found, f"{LIB}/{name}").mode == 0o555


def test_a_driver_store_has_what_toolkits_need_of_it() -> None:
    stores = {path.split("/")[5] for path in host() if path.startswith(f"{STORES}/")}
    assert len(stores) == 1
    folder = f"{STORES}/{stores.pop()}"
    assert {f"{folder}/{name}" for name in REQUIRED} <= set(host())


def test_the_stores_of_other_vendors_and_of_old_drivers_are_there_too() -> None:
    found = host("wsl2-rtx4060-hybrid")
    assert [path for path in found if path.startswith(f"{STORES}/{INTEL}/")] == [f"{STORES}/{INTEL}/iigd_dch.inf"]
    assert library(found, f"{STORES}/{NEW}/libnvidia-ml.so.1").board.windows_version == "555.99"
    old = library(found, f"{STORES}/{OLD}/libnvidia-ml.so.1").board
    assert (old.driver_version, old.windows_version, old.kernel_version) == ("550.40.06", "551.23", "555.99")


def test_adapters_come_in_the_order_of_their_stores_and_old_stores_have_none() -> None:
    adapters = library(host("wsl2-rtx4060-hybrid"), f"{LIB}/libdxcore.so").board.adapters
    assert [adapter.store for adapter in adapters] == [f"{STORES}/{INTEL}", f"{STORES}/{NEW}"]
    assert len({adapter.luid for adapter in adapters}) == 2


def test_every_gpu_is_an_adapter() -> None:
    found = host(gpus=[{"model": "RTX-4090", "count": 2}])
    assert len(library(found, f"{LIB}/libdxcore.so").board.adapters) == 2


def test_a_store_says_how_many_adapters_use_it() -> None:
    found = host("wsl2-rtx4060-hybrid", wsl=[{"name": NEW, "adapters": 0}, {"name": OLD, "adapters": 1, "wddm": 2600}])
    assert [(a.store, a.wddm) for a in library(found, f"{LIB}/libdxcore.so").board.adapters] == [
        (f"{STORES}/{OLD}", 2600)]


def test_without_a_gpu_of_nvidia_windows_shares_direct3d_alone() -> None:
    found = host("wsl2-no-nvidia")
    assert {path for path in found if path.startswith(f"{LIB}/")} == {
        f"{LIB}/libd3d12.so", f"{LIB}/libd3d12core.so", f"{LIB}/libdxcore.so"}


def test_no_gpu_of_a_wsl_machine_can_do_mig() -> None:
    found = host(gpus=[{"model": "A100-PCIE-80GB"}])
    assert library(found, f"{LIB}/libnvidia-ml.so.1").board.gpus[0].mig_mode is None


@pytest.mark.parametrize(("changes", "words"), [
    ({"wsl": []}, "0 driver stores"),
    ({"wsl": [{"name": "nv_dispi"}]}, "wsl[0]: name"),
    ({"wsl": [{"name": NEW}, {"name": NEW}]}, "two driver stores"),
    ({"wsl": [{"name": NEW, "adaptors": 1}]}, "adaptors"),
    ({"wsl": [{"name": NEW, "adapters": 17}]}, "from 0 to 16"),
    ({"wsl": [{"name": NEW, "adapters": 16}, {"name": INTEL}]}, "at most 16"),
    ({"wsl": [{"name": NEW, "windows_driver": "new"}]}, "windows_driver"),
    ({"wsl": "maybe"}, "expected true or false"),
    ({"driver": "none"}, "needs a driver"),
    ({"driver_root": "/run/nvidia/driver"}, "/usr/lib/wsl"),
    ({"gpus": [{"model": "A100-PCIE-80GB", "mig": {"0": []}}]}, "no MIG"),
])
def test_what_no_wsl_machine_has_is_an_error_that_says_where(changes: dict[str, object], words: str) -> None:
    with pytest.raises(NvsimError) as caught:
        host(**changes)
    assert words in str(caught.value)


def test_without_a_driver_of_windows_the_libraries_are_those_of_wsl_still() -> None:
    board = library(host(kernel_driver="none"), f"{LIB}/libnvidia-ml.so.1").board
    assert (board.driver_loaded, board.windows_version) == (False, "555.52.01")


def test_a_profile_can_take_wsl_back() -> None:
    assert "/dev/nvidia0" in host(wsl=False, kernel_driver="555.52.01")
