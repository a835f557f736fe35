"""The files of a host that the driver's packages install, the sockets of its daemons, and the loader's cache."""

import fnmatch
from collections.abc import Iterable
from posixpath import basename, dirname, join, normpath

from nvsim import catalogue, ldcache, plan_leftover
from nvsim.board import Board
from nvsim.native import branches
from nvsim.ops import Artifact, BoardLibrary, Dir, File, Library, Op, Socket, Symlink
from nvsim.plan_host import Host

BOARDS = ("libnvidia-ml.so", "libcuda.so")  # compiled parts that hold the board
_EMULATED = "#!/bin/sh\necho '{name}: emulated by nvsim, it does nothing' >&2\nexit 1\n"


def base(host: Host) -> list[Op]:
    """What the distribution has without a driver: the links of a merged /usr, the loader's configuration."""
    links = [Symlink(path=path, target=target) for path, target in host.layout.links.items()]
    # A link to a folder needs the folder: /lib and /var/run are looked into.
    folders = [Dir(path=normpath(join(dirname(link.path), link.target))) for link in links]
    files = [File(path=path, data=text.encode()) for path, text in host.layout.ld_files.items()]
    return [*links, *folders, *files]


def files(host: Host) -> list[Op]:
    """Everything that the driver's packages install, by its place below the driver root."""
    if not host.driver:
        return []
    ops = _all_libraries(host)
    if host.profile.leftover.driver:
        ops = plan_leftover.beside(host, ops, _all_libraries(plan_leftover.other(host)))
    return _with_exposed(host, [*ops, *_egl_platforms(host), *_programs(host), *_data(host)])


def _all_libraries(host: Host) -> list[Op]:
    ops = _libraries(host, host.layout, host.layout.arch)
    if host.profile.compat32 and host.layout.dirs.get("libdir32"):
        ops += _libraries(host, host.layout.for_32_bit(), "i386")
    return ops


def _libraries(host: Host, layout: catalogue.Layout, arch: str) -> list[Op]:
    assert host.driver
    version, ops = host.driver.version, list[Op]()
    elf = host.elf if arch == layout.arch else arch
    for library in catalogue.libraries(version, arch, host.parts, elf=elf):
        folder = layout.folder(library.file, library.dir, version)
        if not folder:
            continue
        file, links = _names(library, layout)
        path = f"{folder}/{file}"
        ops.append(_compiled(host, library, path) if arch == layout.arch and library.artifact
                   else Library(path=path, arch=elf, soname=library.soname, needed=library.needed,
                                exports=library.exports, abi=library.abi))
        ops += [Symlink(path=f"{folder}/{link}", target=target)
                for link, target in zip(links, (file, *links), strict=False)]
    return ops


def _names(library: catalogue.Library, layout: catalogue.Layout) -> tuple[str, tuple[str, ...]]:
    """The names of the file and its links as the distribution packages them."""
    last = library.links[-1] if library.links else ""
    if last in layout.plain:
        return last, ()
    if last.endswith(".so") and not any(fnmatch.fnmatchcase(last, pattern) for pattern in layout.dev_links):
        return library.file, library.links[:-1]
    return library.file, library.links


def _with_exposed(host: Host, ops: list[Op]) -> list[Op]:
    """The files, and the links that the distribution makes to them elsewhere, such as Debian's alternatives."""
    assert host.driver
    links = list[Op]()
    for exposed in host.layout.exposed:
        source, to = (host.layout.path(path, host.driver.version) for path in (exposed.source, exposed.to))
        there = [op.path for op in [*ops, *links] if dirname(op.path) == source]
        for name in map(basename, there):
            if any(fnmatch.fnmatchcase(name, pattern) for pattern in exposed.names):
                via = exposed.via.replace("<name>", name)
                links += [Symlink(path=f"{to}/{name}", target=via or f"{source}/{name}"),
                          *([Symlink(path=via, target=f"{source}/{name}")] if via else [])]
    return [*ops, *links]


def _compiled(host: Host, library: catalogue.Library, path: str) -> Op:
    assert host.driver
    if library.artifact in BOARDS:
        part = branches.part_for(library.artifact, host.driver.version)
        return BoardLibrary(path=path, artifact=part, arch=host.elf, soname=library.soname,
                            board=board(host))
    return Artifact(path=path, artifact=library.artifact, arch=host.elf, mode=0o644, soname=library.soname)


def board(host: Host) -> Board:
    """The machine that the driver library carries: its GPUs, and which kernel modules it will find."""
    assert host.driver
    return Board(driver_version=host.driver.version, cuda_version=host.driver.cuda,
                 kernel_version=host.kernel.version if host.kernel else "",
                 driver_loaded=bool(host.profile.kernel_driver),
                 dev_root=host.profile.dev_root or "/", gpus=tuple(gpu.board for gpu in host.gpus))


def _egl_platforms(host: Host) -> list[Op]:
    """EGL platform libraries have version numbers of their own, which are the distribution's choice."""
    assert host.driver
    ops = list[Op]()
    for name, config, text in catalogue.egl_platforms(host.driver.branch):
        file, soname = f"{name}.so.{host.layout.egl_platforms[name]}", f"{name}.so.1"
        folder = host.layout.folder(file, "egl", host.driver.version)
        share = host.layout.path("<share>", host.driver.version)
        if folder and share:
            ops += [Library(path=f"{folder}/{file}", arch=host.elf, soname=soname, needed=("libc.so.6",)),
                    Symlink(path=f"{folder}/{soname}", target=file),
                    File(path=f"{share}/egl/egl_external_platform.d/{config}", data=text.encode())]
    return ops


def _programs(host: Host) -> list[Op]:
    assert host.driver
    places = [(host.layout.folder(program.file, "bindir", host.driver.version), program)
              for program in catalogue.binaries(host.driver.branch, host.parts)]
    return [_program(f"{folder}/{program.file}", program, host.elf) for folder, program in places if folder]


def _program(path: str, program: catalogue.Binary, arch: str) -> Op:
    if program.artifact:
        return Artifact(path=path, artifact=program.artifact, arch=arch, mode=program.mode)
    return File(path=path, data=_EMULATED.format(name=program.file).encode(), mode=program.mode)


def _data(host: Host) -> list[Op]:
    """Configuration, firmware, further links."""
    assert host.driver
    version, place = host.driver.version, host.layout.path
    ops: list[Op] = []
    for path, text in catalogue.files(host.driver.branch, host.parts, host.layout.arch):
        text = text.replace("<vulkan_api>", host.driver.vulkan)
        for role in ("<xorg_drivers>", "<libdir>"):
            text = text.replace(role, place(role, version))
        ops.append(File(path=place(path, version), data=text.encode()))
    firmware = f"emulated by nvsim: GSP firmware {version}\n".encode()
    ops += [File(path=place(f"<firmware>/{name}", version), data=firmware) for name in host.driver.firmware]
    ops += [Symlink(path=place(path, version), target=place(target, version))
            for path, target in catalogue.links(host.driver.branch, host.parts)]
    return [op for op in ops if op.path.startswith("/")]  # the distribution has nothing in the role of the others


def sockets(host: Host) -> list[Op]:
    """What running daemons leave below /run."""
    ops: list[Op] = []
    if "persistenced" in host.parts and host.kernel:
        ops += [Socket(path="/run/nvidia-persistenced/socket", mode=0o666),
                File(path="/run/nvidia-persistenced/nvidia-persistenced.pid", data=b"1342\n")]
    if "fabricmanager" in host.parts and host.kernel:
        ops += [Socket(path="/run/nvidia-fabricmanager/socket"),
                Socket(path="/run/nvidia-fabricmanager/fm_sm_ipc.socket"),
                File(path="/run/nvidia-fabricmanager/nvidia-fabricmanager.pid", data=b"1518\n")]
    return ops


def cache(host: Host, ops: Iterable[Op], lacks: tuple[str, ...] = ()) -> File:
    """The loader's cache as ldconfig writes it for these files, without the names that match `lacks`."""
    objects, links = {}, {}
    for op in ops:
        if isinstance(op, Library):
            version = op.abi[0] << 16 | op.abi[1] << 8 | op.abi[2] if op.abi and host.layout.ld_osversion else 0
            objects[op.path] = ldcache.Object(soname=op.soname, flags=ldcache.FLAGS[op.arch], osversion=version)
        elif isinstance(op, (BoardLibrary, Artifact)) and op.soname:
            objects[op.path] = ldcache.Object(soname=op.soname, flags=ldcache.FLAGS[op.arch])
        elif isinstance(op, Symlink):
            links[op.path] = op.target
    entries = [entry for entry in ldcache.index(host.layout.ld_directories(), objects, links)
               if not any(fnmatch.fnmatchcase(entry.key, pattern) for pattern in lacks)]
    return File(path=host.layout.ld_cache, data=ldcache.cache(entries, generator=host.layout.ld_generator,
                                                              compat=host.layout.ld_compat))
