"""The files of a WSL 2 machine: what Windows shares with it, and what its kernel shows.

There is no kernel module of NVIDIA's, no /proc/driver/nvidia and no node but /dev/dxg: the driver is that of Windows.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from nvsim import catalogue, profile_wsl
from nvsim.board import Adapter, Board
from nvsim.native import branches
from nvsim.ops import Artifact, BoardLibrary, CharDev, Dir, File, Library, Op
from nvsim.plan_host import Host
from nvsim.profile_wsl import Store

LIB, STORES = "/usr/lib/wsl/lib", "/usr/lib/wsl/drivers"
MISC_MAJOR = 10
_DRIVER_VERSION = re.compile(r"DriverVer\s*=\s*[\d/]+\s*,\s*\d+\.\d+\.\d?(\d)\.(\d{4})\s*$", re.MULTILINE)
MODE = 0o555  # Windows shares them read-only


def files(host: Host) -> list[Op]:
    """What Windows shares: /usr/lib/wsl."""
    facts = catalogue.wsl()
    main = next((store for store in host.profile.wsl if store.vendor_nvidia), None)
    ops = [_file(host, main, LIB, entry) for entry in facts["lib"] if main or entry.get("windows")]
    for store in host.profile.wsl:
        folder = f"{STORES}/{store.name}"
        inf = inf_name(store.name)
        text = inf_text(_windows(host, store)).encode() if store.vendor_nvidia else _text(inf)
        ops.append(File(path=f"{folder}/{inf}", data=text, mode=MODE))
        ops += [_file(host, store, folder, entry) for entry in facts["store"] if store.vendor_nvidia]
    return ops


def machine(host: Host) -> list[Op]:
    """The node, and what the kernel and WSL's own start-up leave."""
    facts = catalogue.wsl()
    misc = "".join(f"{minor:3} {name}\n" for minor, name in facts["kernel"]["misc"].items())
    kernel = {"/proc/version": facts["kernel"]["version"] + "\n", "/proc/misc": misc,
              "/proc/sys/fs/binfmt_misc/WSLInterop": "enabled\ninterpreter /init\nflags: PF\noffset 0\nmagic 4d5a\n"}
    return [CharDev(path="/dev/dxg", major=MISC_MAJOR, minor=facts["dxg"], mode=0o666,
                    placeholder=host.profile.placeholders == "files"),
            *(File(path=path, data=text.encode(), mode=0o444) for path, text in kernel.items()),
            Dir(path="/run/WSL"), Dir(path="/mnt/wsl")]


def inf_name(store: str) -> str:
    """The INF file from which Windows installed a store, and after which it names the store."""
    return store.partition("_amd64_")[0]


def inf_text(version: str) -> str:
    """An INF file of a driver; of its date only the form is right.  The last five digits of Windows' version are those
    of NVIDIA's: 31.0.15.5599 is 555.99."""
    digits = "".join(version.split(".")[:2])[:5].ljust(5, "0")
    return ("; emulated by nvsim\n[Version]\nSignature = \"$Windows NT$\"\nClass = Display\n"
            f"DriverVer = 01/01/2024, 31.0.1{digits[0]}.{digits[1:]}\n")


def windows_version(inf: str) -> str:
    """NVIDIA's version by the text of an INF file; empty if it does not say one."""
    found = _DRIVER_VERSION.search(inf)
    return f"{found[1]}{found[2][:2]}.{found[2][2:]}" if found else ""


def _text(name: str) -> bytes:
    return f"emulated by nvsim: {name}\n".encode()


def _file(host: Host, store: Store | None, folder: str, entry: Mapping[str, Any]) -> Op:
    """A file of Windows' share.  Programs and libraries that a compiled part stands for are that part."""
    name, artifact, arch = entry["file"], entry.get("artifact", ""), host.elf
    path, soname = f"{folder}/{name}", entry.get("soname", name)
    if artifact == "nvidia-smi":
        return Artifact(path=path, artifact=artifact, arch=arch, mode=MODE)
    if artifact:
        board = _board(host, store)
        return BoardLibrary(path=path, artifact=branches.part_for(artifact, board.driver_version), arch=arch,
                            soname=soname, board=board, mode=MODE)
    if ".so" in name:
        return Library(path=path, arch=arch, soname=soname, needed=("libc.so.6",), mode=MODE)
    return File(path=path, data=_text(name), mode=MODE)


def _board(host: Host, store: Store | None) -> Board:
    """The machine as the libraries of a store see it.  Without a store of NVIDIA's only libdxcore.so is there."""
    adapters = _adapters(host)
    if store is None:
        return Board(driver_version="", cuda_version="0.0", gpus=(), driver_loaded=False, adapters=adapters)
    version = store.driver or host.profile.driver
    windows = _windows(host, store)
    none: dict[str, Any] = {"mig_mode": None, "mig_pending": None, "mig_max_devices": 0, "mig_table": 0}
    gpus = tuple(replace(gpu.board, **none) for gpu in host.gpus)
    return Board(driver_version=version, cuda_version=catalogue.release(version).cuda, gpus=gpus, adapters=adapters,
                 windows_version=windows, kernel_version=host.windows, driver_loaded=bool(host.windows))


def _windows(host: Host, store: Store) -> str:
    """The version of a store's driver as Windows says it."""
    return store.windows_driver or store.driver or host.windows or host.profile.driver


def _adapters(host: Host) -> tuple[Adapter, ...]:
    """The adapters in the order of their stores.  LUIDs are those of this start of Windows, so any will do."""
    counts = profile_wsl.used(host.profile.wsl, len(host.gpus))
    found = [store for store, count in zip(host.profile.wsl, counts, strict=True) for _ in range(count)]
    return tuple(Adapter(luid=_luid(host.profile.name, i), wddm=store.wddm, store=f"{STORES}/{store.name}")
                 for i, store in enumerate(found))


def _luid(profile_name: str, index: int) -> int:
    """Adapters come up one after the other: a 32-bit number that grows."""
    first = int(hashlib.sha256(f"luid of {profile_name}".encode()).hexdigest()[:4], 16)
    return 0x10000 + first + index * 0x1F3
