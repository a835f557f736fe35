"""The files of a Jetson: what Jetson Linux (L4T) installs, what its kernel shows, and the nodes of its modules.

The libraries are those that the container manifests name, and the manifests name more than a board has: nodes of other
processors and modules, and firmware.  Toolkits that read them must skip what is not there
(NVIDIA/nvidia-container-runtime#123)."""

import re
from collections.abc import Iterable
from posixpath import basename, dirname, join, normpath

from nvsim import ldcache, plan_driver, plan_sys, tegra
from nvsim.native import branches
from nvsim.ops import Artifact, BoardLibrary, Dir, File, Library, Op, Symlink
from nvsim.plan_host import FIRST_RENDER, Host, Jetson

DRM_MAJOR, MISC_MAJOR, NULL, NVIDIA = 226, 10, (1, 3), 195
BY_GPU = 32  # the nodes below nvgpu/igpu0 follow those below /dev
_EMULATED = "#!/bin/sh\necho '{name}: emulated by nvsim, it does nothing' >&2\nexit 1\n"
_ICD = '{"file_format_version": "1.0.0", "ICD": {"library_path": "<library>"<more>}}\n'

Node = tuple[str, int, int, int, int]  # path below /dev, major, minor, mode, group


def files(host: Host) -> list[Op]:
    """What L4T installs: the manifests and all that they name, the driver's folders in the loader's configuration."""
    assert host.jetson
    release, found = host.jetson.release, dict[str, Op]()
    lines = tegra.manifests(release)
    entries = [line for those in lines.values() for line in those if line[0] != "dev"]
    named = {path for _, path in entries}
    targets = {path: target for path, target in tegra.targets(release).items()
               if ("lib", path) not in entries or join(dirname(path), target) in named}
    plain = {path for kind, path in entries if kind == "lib" and path not in targets}
    sonames = _sonames(entries, targets, plain)
    for kind, path in entries:
        place = _place(host, path)
        if normpath(path.replace("//", "/")) in tegra.missing(release) or path.startswith("/dev/"):
            continue
        if kind == "dir":
            found |= {op.path: op for op in _folder(place) if op.path not in found}
        elif path in targets or kind == "sym":
            found[place] = Symlink(path=place, target=targets.get(path) or _target(path, plain))
        else:
            found[place] = _file(host, place, sonames.get(path, basename(path)))
    links = [Symlink(path=path, target=target) for path, target in tegra.beside(release).items()]
    return [*found.values(), *links, *_loader(release), *_manifests(lines),
            File(path="/etc/nv_tegra_release", data=f"{release.release}\n".encode())]


def _manifests(lines: dict[str, tuple[tuple[tegra.Kind, str], ...]]) -> list[Op]:
    return [File(path=f"{tegra.MANIFESTS}/{name}", data="".join(f"{kind}, {path}\n" for kind, path in those).encode())
            for name, those in lines.items()]


def _place(host: Host, path: str) -> str:
    """Where a path of a manifest lies: one slash at its beginning, links of folders followed."""
    clean = normpath("/" + path.lstrip("/"))
    return join(ldcache.resolve(dirname(clean), host.layout.links), basename(clean))


def _sonames(entries: list[tuple[tegra.Kind, str]], targets: dict[str, str], plain: set[str]) -> dict[str, str]:
    """SONAMEs that are not the file's name: a library has that of the versioned link beside it."""
    own = tegra.sonames()
    found = {path: own[basename(path)] for path in plain if basename(path) in own}
    for kind, path in entries:
        if kind == "sym" and re.search(r"\.so\.\d+$", path):
            target = normpath(join(dirname(path), targets.get(path) or _target(path, plain)))
            if dirname(target) == dirname(path) and target in plain:
                found[target] = basename(path)
    return found


def _target(path: str, plain: Iterable[str]) -> str:
    """Where a link for a library leads: to the longest name of it beside it, else to it in the driver's folder."""
    folder, name = dirname(path), basename(path)
    stem = name.partition(".so")[0]
    beside = [basename(other) for other in plain
              if dirname(other) == folder and basename(other).startswith(f"{stem}.so.")]
    if beside:
        return max(beside, key=len)
    inner = sorted(basename(dirname(other)) for other in plain
                   if dirname(dirname(other)) == folder and basename(other).startswith(name))
    return f"{inner[0]}/{name}" if inner else name


def _folder(place: str) -> list[Op]:
    if place.endswith("/cuda-10.2"):
        return [Dir(path=f"{place}/lib64"), File(path=f"{place}/version.txt", data=b"CUDA Version 10.2.300\n")]
    return [Dir(path=place)]


def _file(host: Host, place: str, soname: str) -> Op:
    """A file of the release.  Programs and libraries that a compiled part stands for are that part."""
    assert host.jetson
    name, folder = basename(place), dirname(place)
    if part := tegra.artifact(name):
        return _board_library(host, place, *part)
    if name == "nvidia-smi":
        return Artifact(path=place, artifact=name, arch=host.elf)
    if name == "ld.so.conf":
        return File(path=place, data=f"{folder}\n".encode())
    if name.endswith(".json"):
        return File(path=place, data=_icd(name, host.jetson).encode())
    if re.search(r"\.so(\.|$)", name):
        return Library(path=place, arch=host.elf, soname=soname, needed=("libc.so.6",), abi=tegra.abi_note(name))
    if basename(folder).startswith("weston") or basename(folder) in ("bin", "sbin"):
        return File(path=place, data=_EMULATED.format(name=name).encode(), mode=0o755)
    return File(path=place, data=f"emulated by nvsim: {name}\n".encode())


def _board_library(host: Host, place: str, artifact: str, soname: str) -> Op:
    """libcuda can be of another branch than NVML: CUDA of L4T 36.4 is newer than its driver's number says."""
    assert host.jetson
    release = host.jetson.release
    version = f"{release.exports}.00" if artifact == "libcuda.so" else release.driver.version
    return BoardLibrary(path=place, artifact=branches.part_for(artifact, version), arch=host.elf, soname=soname,
                        board=plan_driver.board(host))


def _icd(name: str, jetson: Jetson) -> str:
    libraries = {"nvidia.json": "libEGL_nvidia.so.0", "nvidia_icd_vksc.json": "libnvidia-vksc-core.so.1"}
    more = f', "api_version": "{jetson.release.driver.vulkan}"' if name.startswith("nvidia_icd") else ""
    return _ICD.replace("<library>", libraries.get(name, "libGLX_nvidia.so.0")).replace("<more>", more)


def _loader(release: tegra.Release) -> list[Op]:
    """The file for EGL is a link by way of the alternatives; `tegra` is one where the driver's folder is `nvidia`."""
    alternative = "/etc/alternatives/aarch64-linux-gnu_egl_conf"
    ops: list[Op] = [Symlink(path=tegra.EGL_CONF, target=alternative),
                     Symlink(path=alternative, target=f"{tegra.EGL}/ld.so.conf"),
                     File(path=f"{tegra.EGL}/ld.so.conf", data=f"{tegra.EGL}\n".encode())]
    if release.folder.endswith("/nvidia"):
        ops.append(Symlink(path=f"{tegra.LIB}/tegra", target="nvidia"))
    return ops


def machine(host: Host) -> list[Op]:
    """What the kernel shows of the board: its name, the processor, the modules beside NVIDIA's, DRM devices."""
    if not host.jetson:
        return []
    board, tree = host.jetson.board, "/sys/firmware/devicetree/base"
    texts = {f"{tree}/model": f"{board.model}\0", f"{tree}/compatible": "\0".join((*board.compatible, "")),
             "/sys/devices/soc0/family": "Tegra\n", "/sys/devices/soc0/machine": f"{board.model}\n",
             "/sys/devices/soc0/soc_id": f"{board.soc_id}\n", "/sys/devices/soc0/revision": "A01\n",
             "/proc/version": f"Linux version {host.layout.kernel} (buildbrain@mobile) "
                              f"({host.layout.compiler.strip()}) #1 SMP PREEMPT\n"}
    texts |= {f"/sys/module/{line.split()[0]}/initstate": "live\n" for line in host.layout.modules.splitlines()}
    ops: list[Op] = [File(path=path, data=text.encode(), mode=0o444) for path, text in texts.items()]
    ops.append(Symlink(path="/proc/device-tree", target=tree))
    for card, render, device in _drm(host):
        place = f"/sys/devices/platform/bus@0/{device}"
        ops += plan_sys.drm(place, device, f"card{card}", card)
        ops += plan_sys.drm(place, device, f"renderD{render}", render) if render else []
    return ops


def _drm(host: Host) -> list[tuple[int, int, str]]:
    """Card, render node (0: none) and platform device of the processor's own DRM devices."""
    found, render = list[tuple[int, int, str]](), FIRST_RENDER
    for card, one in enumerate(host.jetson.drm if host.jetson else (), len(host.other_cards)):
        found.append((card, render if one.render else 0, one.device))
        render += one.render
    return found


def by_path(host: Host) -> list[tuple[str, str]]:
    """Links of the processor's DRM nodes: path below /dev, and target."""
    return [(f"dri/by-path/platform-{device}-{kind}", f"../{name}") for card, render, device in _drm(host)
            for kind, name in (("card", f"card{card}"), *((("render", f"renderD{render}"),) if render else ()))]


def majors(host: Host) -> list[tuple[int, str]]:
    """Lines of /proc/devices."""
    if not host.jetson:
        return []
    numbers = tegra.nodes()
    names = [("nvhost", numbers["host1x"]), *((("nvgpu", numbers["nvgpu"]),) if host.jetson.nvgpu else ())]
    return [(number, name) for name, number in names]


def nodes(host: Host) -> list[Node]:
    """The nodes below /dev that the module nvidia does not make; of that, those of the display.

    A board has those of the manifests that its processor and its module have, and what nvgpu makes beside them."""
    jetson = host.jetson
    if not jetson or not host.profile.kernel_driver:
        return []
    video, render = host.layout.groups["video"], host.layout.groups["render"]
    named = {path.removeprefix("/dev/") for lines in tegra.manifests(jetson.release).values()
             for kind, path in lines if kind == "dev"}
    known = {**_of_kernel(video), **(_of_nvgpu(jetson.release.files, video) if jetson.nvgpu else {})}
    host1x = sorted(name for name in named if re.match(r"nvhost-|tegra_dc|host1x$", name) and name not in known
                    and not re.match(r"nvhost-.*gpu$", name))
    major = tegra.nodes()["host1x"]
    known |= {name: (major, minor, 0o660, video) for minor, name in enumerate(host1x)}
    beside = {name for name in known if name.endswith(("nvsched_ctrl_fifo", "nvsched_ctrl_fifo-gpu"))}
    found = [(name, *known[name]) for name in sorted((named | beside) & known.keys()) if not _lacks(jetson, name)]
    found += [(f"dri/card{card}", DRM_MAJOR, card, 0o660, video) for card, _, _ in _drm(host)]
    found += [(f"dri/renderD{node}", DRM_MAJOR, node, 0o660, render) for _, node, _ in _drm(host) if node]
    return found + _display(host)


def _display(host: Host) -> list[Node]:
    """The display's node of the module nvidia: the first on Orin, whose GPU is not the module's; the last on Thor
    (NVIDIA/nvidia-container-toolkit#1561: beside a discrete GPU it is nvidia2)."""
    assert host.jetson
    if not host.kernel:
        return []
    minor = 0 if host.jetson.nvgpu else len(host.gpus)
    return [(f"nvidia{minor}", NVIDIA, minor, 0o666, 0)]


def _of_kernel(video: int) -> dict[str, tuple[int, int, int, int]]:
    numbers = tegra.nodes()
    return {**{name: (MISC_MAJOR, minor, 0o660, video) for name, minor in numbers["misc"].items()},
            **dict.fromkeys(numbers["dev_null"], (*NULL, 0o666, 0)),
            **{f"fb{i}": (numbers["framebuffer"], i, 0o660, video) for i in range(2)}}


def _of_nvgpu(family: str, video: int) -> dict[str, tuple[int, int, int, int]]:
    numbers = tegra.nodes()
    found = dict[str, tuple[int, int, int, int]]()
    for minor, name in enumerate(numbers["gpu"]):
        if name in numbers["gpu_before"].get(family, (name,)):
            flat = "nvhost-gpu" if name == "channel" else f"nvhost-{name}-gpu"
            found[flat] = (numbers["nvgpu"], minor, 0o660, video)
            if family != "r32":
                found[f"nvgpu/igpu0/{name}"] = (numbers["nvgpu"], minor + BY_GPU, 0o660, video)
    return found


def _lacks(jetson: Jetson, name: str) -> bool:
    patterns = (re.escape(p).replace(r"\*\*", ".*").replace(r"\*", "[^/]*") for p in jetson.board.lacks)
    return any(re.fullmatch(pattern, f"/dev/{name}") for pattern in patterns)


def char_links(host: Host) -> list[Op]:
    """Links of DRM nodes by number, as udev makes them."""
    return [Symlink(path=f"/dev/char/{major}:{minor}", target=f"../{path}")
            for path, major, minor, _, _ in nodes(host) if major == DRM_MAJOR]
