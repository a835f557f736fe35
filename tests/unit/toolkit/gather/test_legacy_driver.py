"""The driver's files by libnvidia-container's rules: the loader's cache, PATH, fixed places."""

import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.errors import HostError, ToolkitError
from toolkit.gather import legacy
from toolkit.gather.legacy_libraries import read_libraries
from toolkit.gather.legacy_nvml import Nvml
from toolkit.gather.legacy_root import Root
from toolkit.model.native import Gpu

V = "550.54.15"
L = "/usr/lib/x86_64-linux-gnu"
NATIVE, I386 = 0x0301, 0x0001

pytestmark = pytest.mark.skipif(os.uname().machine != "x86_64", reason="the caches below are those of x86-64")


def cache(*entries: tuple[int, str, str]) -> bytes:
    """An ld.so.cache of (flags, key, path), as the format's description has it."""
    strings, table = b"", b""
    start = 48 + 24 * len(entries)
    for flags, key, path in entries:
        key_at = start + len(strings)
        strings += key.encode() + b"\0"
        path_at = start + len(strings)
        strings += path.encode() + b"\0"
        table += struct.pack("=iIIIQ", flags, key_at, path_at, 0, 0)
    return b"glibc-ld.so.cache1.1" + struct.pack("=II20x", len(entries), len(strings)) + table + strings


World = Callable[..., Root]


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A driver root of files (path → content) and an ld.so.cache."""

    def build(*entries: tuple[int, str, str], raw: bytes | None = None, **files: str) -> Root:
        content = {path: "x" for _, _, path in entries} | files
        for path, text in content.items():
            place = tmp_path / path.lstrip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            if text.startswith("-> "):
                place.symlink_to(text[3:])
            elif text != "absent":
                place.write_text(text)
        (tmp_path / "etc").mkdir(exist_ok=True)
        (tmp_path / "etc/ld.so.cache").write_bytes(cache(*entries) if raw is None else raw)
        return Root(str(tmp_path), name="ROOT")

    return build


def libraries(root: Root, lines: list[str] | None = None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return read_libraries(
        root, "/etc/ld.so.cache", V, lambda level, text: (lines if lines is not None else []).append(text)
    )


def test_libraries_come_in_the_tables_order_and_resolved(world: World) -> None:
    root = world(
        (NATIVE, "libcuda.so.1", f"{L}/libcuda.so.1"),
        (NATIVE, "libnvidia-ml.so.1", f"{L}/libnvidia-ml.so.{V}"),
        (I386, "libcuda.so.1", f"/usr/lib32/libcuda.so.{V}"),
        **{f"{L}/libcuda.so.1": f"-> libcuda.so.{V}", f"{L}/libcuda.so.{V}": "x"},
    )
    assert libraries(root) == ((f"{L}/libnvidia-ml.so.{V}", f"{L}/libcuda.so.{V}"), (f"/usr/lib32/libcuda.so.{V}",))


def test_the_last_fitting_entry_wins(world: World) -> None:
    lines: list[str] = []
    root = world(
        (NATIVE, "libcuda.so.1", f"/a/libcuda.so.{V}"),
        (NATIVE, "libcuda.so", f"/b/libcuda.so.{V}"),
        (NATIVE, "libcuda.so.1", "/c/libcuda.so.470.1"),
    )
    assert libraries(root, lines)[0] == (f"/b/libcuda.so.{V}",)
    assert lines[:3] == [
        f"selecting /a/libcuda.so.{V}",
        f"selecting /b/libcuda.so.{V} over /a/libcuda.so.{V}",
        "skipping /c/libcuda.so.470.1",
    ]
    assert "missing library libnvidia-ml.so" in lines and "missing compat32 library libcuda.so" in lines


def test_another_version_is_not_the_driver(world: World) -> None:
    assert libraries(world((NATIVE, "libcuda.so.1", f"{L}/libcuda.so.535.1"))) == ((), ())


def test_entries_of_other_kinds_and_names_are_not_opened(world: World) -> None:
    path = f"/gone/libcuda.so.{V}"
    root = world(
        (0x0A01, "libcuda.so.1", path), (0x0300, "libcuda.so.1", path), (NATIVE, "libc.so.6", path), **{path: "absent"}
    )
    assert libraries(root) == ((), ())


@pytest.mark.parametrize("flags", [NATIVE, I386])
def test_a_stale_cache_is_fatal(world: World, flags: int) -> None:
    root = world((flags, "libcuda.so.1", f"{L}/libcuda.so.1"), **{f"{L}/libcuda.so.1": "absent"})
    with pytest.raises(HostError) as e:
        libraries(root)
    assert str(e.value) == f"open failed: ROOT{L}/libcuda.so.1: no such file or directory"


def test_a_directory_or_a_tls_library_without_note_is_fatal(world: World, tmp_path: Path) -> None:
    (tmp_path / "d/libcuda.so.1").mkdir(parents=True)
    with pytest.raises(HostError, match="elf file read error: ROOT/d/libcuda.so.1"):
        libraries(world((NATIVE, "libcuda.so.1", "/d/libcuda.so.1"), **{"/d/libcuda.so.1": "absent"}))
    with pytest.raises(HostError, match="elf section read error: ROOT/x/libnvidia-tls.so.1"):
        libraries(world((NATIVE, "libnvidia-tls.so.1", "/x/libnvidia-tls.so.1")))


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        (b"", "file mapping failed: ROOT/etc/ld.so.cache: invalid argument"),
        (b"junk", "unsupported file format: ROOT/etc/ld.so.cache"),
        (cache((NATIVE, "a", "b"))[:52] + b"\xff" * 20 + b"ab", "unsupported file format: ROOT/etc/ld.so.cache"),
        (b"glibc-ld.so.cache1.1\xff\xff\xff\xff" + bytes(40), "unsupported file format: ROOT/etc/ld.so.cache"),
    ],
)
def test_a_bad_cache_is_named(world: World, raw: bytes, error: str) -> None:
    with pytest.raises(HostError) as e:
        libraries(world(raw=raw))
    assert str(e.value) == error


def test_a_directory_is_no_cache(world: World) -> None:
    with world() as root, pytest.raises(HostError) as e:
        read_libraries(root, "/etc", V, lambda level, text: None)
    assert str(e.value) == "file mapping failed: ROOT/etc: no such device"


def test_a_missing_cache_is_named(world: World, tmp_path: Path) -> None:
    root = world()
    (tmp_path / "etc/ld.so.cache").unlink()
    with pytest.raises(HostError) as e:
        libraries(root)
    assert str(e.value) == "open failed: ROOT/etc/ld.so.cache: no such file or directory"


def driver(root: Root, **changes: object) -> tuple[legacy.Driver, list[str]]:
    lines: list[str] = []
    options: dict[str, object] = {"ldcache": "/etc/ld.so.cache", "path": "/usr/bin:/opt/bin", **changes}
    found = legacy.read_driver(
        root, Nvml(version=V, cuda_version="12.4"), say=lambda level, text: lines.append(f"{level} {text}"), **options
    )  # type: ignore[arg-type]
    return found, lines


def test_binaries_are_those_on_path_resolved(world: World) -> None:
    root = world(
        **{
            "/usr/bin/nvidia-smi": "-> /usr/lib/nvidia/current/nvidia-smi",
            "/usr/lib/nvidia/current/nvidia-smi": "x",
            "/opt/bin/nvidia-smi": "x",
            "/opt/bin/nvidia-cuda-mps-server": "x",
            "/usr/bin/nvidia-debugdump": "-> /nowhere",
            "/usr/bin/nv-fabricmanager": "-> ../../../../x",
        }
    )
    found, lines = driver(root)
    assert found.binaries == ("/usr/lib/nvidia/current/nvidia-smi", "/opt/bin/nvidia-cuda-mps-server")
    assert "W missing binary nvidia-debugdump" in lines


@pytest.mark.parametrize(("path", "found"), [("", ()), (":/nowhere", ("/nvidia-smi",))])
def test_empty_elements_of_path_are_the_root_but_an_empty_path_is_nothing(
    world: World, path: str, found: tuple[str, ...]
) -> None:
    assert driver(world(**{"/nvidia-smi": "x"}), path=path)[0].binaries == found


def test_without_path_nothing_works(world: World) -> None:
    with pytest.raises(HostError) as e:
        driver(world(), path=None)
    assert str(e.value) == "detection error: environment variable PATH not found"


def test_firmware_keeps_its_unresolved_name(world: World) -> None:
    root = world(
        **{
            "/lib": "-> usr/lib",
            f"/usr/lib/firmware/nvidia/{V}/gsp_tu10x.bin": "x",
            f"/usr/lib/firmware/nvidia/{V}/gsp_ga10x.bin": "x",
            f"/usr/lib/firmware/nvidia/{V}/other.bin": "x",
        }
    )
    assert driver(root)[0].firmware == tuple(f"/lib/firmware/nvidia/{V}/gsp_{n}10x.bin" for n in ("ga", "tu"))
    assert driver(root, gsp_firmware=False)[0].firmware == ()


def test_sockets_are_listed_resolved_and_mps_where_the_variable_says(world: World) -> None:
    root = world(**{"/var/run": "-> /run", "/run/nvidia-persistenced/socket": "x", "/tmp/nvidia-mps": "x", "/mps": "x"})
    assert driver(root)[0].ipcs == ("/run/nvidia-persistenced/socket", "/tmp/nvidia-mps")
    assert driver(root, mps="/mps", persistenced=False)[0].ipcs == ("/mps",)
    assert driver(root, mps="/")[0].ipcs == driver(root, mps="")[0].ipcs == ("/run/nvidia-persistenced/socket",)
    with pytest.raises(HostError, match="detection error: path error: /../x resolves outside of ROOT"):
        driver(root, mps="/../x")


def test_fixed_devices_are_listed_unseen_and_uvm_only_if_there(world: World) -> None:
    found, lines = driver(world())
    assert [(node.path, node.major, node.minor) for node in found.devices] == [
        ("/dev/nvidiactl", 195, 255),
        ("/dev/nvidia-modeset", 195, 254),
    ]
    assert "W missing device /dev/nvidia-uvm" in lines


DEVICES = (
    "Character devices:\n  1 mem\n195 nvidia\n237 nvidia-caps\n234 nvidia-caps-imex-channels\n510 nvidia-uvm\n\n"
    "Block devices:\n259 nvidia-caps\n"
)


@pytest.mark.parametrize(("name", "major"), [("nvidia-caps", 237), ("nvidia-uvm", 510), ("absent", -1), ("blkext", -1)])
def test_majors_are_those_of_character_devices(name: str, major: int) -> None:
    assert legacy.char_major(DEVICES, name) == major


def test_capability_minors_that_cannot_be_are_no_minors(world: World, tmp_path: Path) -> None:
    from toolkit.model.native import MigDevice

    mig = MigDevice(index=0, uuid="MIG", gpu_index=0, gpu_minor=2, gpu_instance=1, compute_instance=0)
    gi, ci = mig.access_files
    root = world(
        **{
            gi: "DeviceFileMinor: 12\nDeviceFileMode: 256\n",
            ci: "DeviceFileMinor: -5\n",
            "/proc/devices": DEVICES,
            "/proc/driver/nvidia-caps/mig-minors": (
                "config 1\nmonitor 2\ngpu2/gi1/access 12\ngpu2/gi1/ci0/access 13\ngpu3/gi0/access x\n../gpu1/x 9\n"
            ),
        }
    )
    gpu = Gpu(index=0, minor=2, uuid="GPU", bus_id="", migs=(mig,))
    host = legacy.read_host(root, legacy.Driver(), (gpu,), machine=str(tmp_path))
    assert host.cap_minors == ((gi, 12), (ci, -1))
    assert host.gpu_caps == ((2, 12), (2, 13))
    assert host.caps_major == 237


@given(st.binary(max_size=400))
def test_any_cache_gives_libraries_or_an_error(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    place = tmp_path_factory.mktemp("cache")
    (place / "c").write_bytes(data)
    with Root(str(place)) as root:
        try:
            read_libraries(root, "/c", V, lambda level, text: None)
        except ToolkitError:
            pass


@given(st.text(), st.text())
def test_any_proc_text_is_read(devices: str, minors: str) -> None:
    assert legacy.char_major(devices, "nvidia-caps") >= -1
    assert all(minor >= 0 for pair in legacy._gpu_caps(minors) for minor in pair)


def test_under_wsl_the_shared_folder_wins_and_versions_do_not_count(world: World) -> None:
    root = world(
        (NATIVE, "libcuda.so.1", "/a/libcuda.so.1"),
        (NATIVE, "libcuda.so.1", "/usr/lib/wsl/lib/libcuda.so.1"),
        (NATIVE, "libcuda.so.1", "/b/libcuda.so.1"),
        (NATIVE, "libnvidia-ml.so.1", "/gone/libnvidia-ml.so.1"),
        (NATIVE, "libdxcore.so", "/usr/lib/wsl/lib/libdxcore.so"),
        **{"/gone/libnvidia-ml.so.1": "absent"},
    )
    found, _ = read_libraries(root, "/etc/ld.so.cache", V, lambda level, text: None, wsl=True)
    assert found == ("/gone/libnvidia-ml.so.1", "/usr/lib/wsl/lib/libcuda.so.1", "/usr/lib/wsl/lib/libdxcore.so")


def test_under_wsl_programs_of_the_last_store_come_first_and_there_is_no_firmware(world: World, tmp_path: Path) -> None:
    from toolkit.gather.legacy_wsl import Store

    root = world(
        **{
            "/one/nvidia-smi": "x",
            "/two/nvidia-smi": "x",
            "/usr/bin/nvidia-smi": "x",
            f"/lib/firmware/nvidia/{V}/gsp.bin": "x",
        }
    )
    (tmp_path / "dev").mkdir()
    stores = (Store(path="/one", files=("nvidia-smi",)), Store(path="/two", files=("nvidia-smi",)))
    with pytest.raises(HostError, match="detection error: stat failed: /dev/dxg: no such file or directory"):
        driver(root, stores=stores, machine=str(tmp_path))
    (tmp_path / "dev/dxg").touch()
    found, lines = driver(root, stores=stores, machine=str(tmp_path))
    assert (found.binaries, found.firmware, found.store, found.store_files) == (
        ("/two/nvidia-smi",), (), "/one", ("nvidia-smi",),
    )  # fmt: skip
    assert [node.path for node in found.devices] == ["/dev/dxg"]
