"""Container images, composed offline from files of this machine: no registry, no download.

A base is described in images/NAME.yaml: a layout, the programs in it, and small files.  Programs bring the libraries
that `ldd` names and the real loader; the cache is written by the real ldconfig.  A case may add files, links and
libraries on top (`model.Image`).  Nobody writes to a composed image: containers get a clone.
"""

import functools
import hashlib
import os
import platform
import re
import shutil
import stat
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from nvsim import elf
from nvsim.errors import NvsimError
from scenarios import archive, model
from scenarios.fields import Fields, describe, load, nearest
from scenarios.request import image_name

IMAGES = Path(__file__).resolve().parent / "images"
OWN_KEYS = ("about", "layout", "programs", "shared", "names")
FOLDERS = ("dev", "etc", "home", "proc", "root", "run", "sys", "tmp", "usr/bin", "usr/sbin", "usr/lib", "usr/local/lib",
           "var/cache/ldconfig", ".nvsim")
LIBRARY_FOLDERS = {"multiarch": f"/usr/lib/{platform.machine()}-linux-gnu", "lib64": "/usr/lib64"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """One images/NAME.yaml.  `layout` is multiarch (Debian), lib64 (RHEL) or busybox (no libc, one static program).

    `programs` are looked up on this machine; `shared` are libraries that programs may load later; `names` are other
    images that it stands for."""

    name: str
    about: str
    layout: str = ""
    programs: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    image: model.Image = model.Image()


@dataclass(frozen=True, slots=True, kw_only=True)
class Composed:
    """An image as a folder (`path`, "" if it was only described), with what its config would say."""

    path: str = ""
    env: tuple[tuple[str, str], ...] = ()
    command: tuple[str, ...] = ()


@functools.cache
def bases() -> dict[str, Base]:
    """Every base by name."""
    return {path.stem: parse(path.read_bytes(), str(path)) for path in sorted(IMAGES.glob("*.yaml"))}


def parse(text: str | bytes, source: str) -> Base:
    """One images/NAME.yaml.  Raises NvsimError with the key."""
    value = load(text, source)
    image = model.parse_image(value, source, OWN_KEYS)
    fields = Fields(value, source, (*OWN_KEYS, *model.IMAGE_KEYS))
    layout = fields.text("layout", "")
    if layout and layout not in (*LIBRARY_FOLDERS, "busybox"):
        raise NvsimError(f"unknown layout {describe(layout)}", source=fields.at("layout"),
                         hint=nearest(layout, (*LIBRARY_FOLDERS, "busybox")))
    return Base(name=Path(source).stem, about=fields.text("about"), layout=layout, programs=fields.texts("programs"),
                shared=fields.texts("shared"), names=fields.texts("names"),
                image=image if "base" in fields else replace(image, base=""))


def named(name: str, source: str) -> Base:
    """The base that an image's name stands for, such as `debian:12` or `docker.io/nvidia/cuda:12.4-base`."""
    plain = image_name(name)
    for base in bases().values():
        if plain == base.name or plain in base.names:
            return base
    raise NvsimError(f"unknown image {describe(name)}", source=source,
                     hint=nearest(plain, bases()) + "; or describe it under `image:`")


def resolve(image: model.Image | None, name: str, source: str) -> tuple[Base, tuple[model.Image, ...]]:
    """The base with a layout, and what is put on top of it, lowest first."""
    layers = [image] if image else []
    base = named(image.base if image else name, source)
    while True:
        layers.insert(0, base.image)
        if not base.image.base:
            return base, tuple(layers)
        base = named(base.image.base, base.name)


def described(image: model.Image | None, name: str, source: str) -> Composed:
    """What an image's config would say, without composing it."""
    _, layers = resolve(image, name, source)
    env = {k: v for layer in layers for k, v in layer.env}
    command = next((layer.command for layer in reversed(layers) if layer.command), ("/bin/sh",))
    return Composed(env=tuple(env.items()), command=command)


class Store:
    """Composed images below one folder, each made once.  Threads may share it."""

    def __init__(self, folder: str) -> None:
        self._folder, self._lock = folder, threading.Lock()
        self._archives: dict[str, archive.Archive] = {}
        os.makedirs(folder, exist_ok=True)

    def get(self, image: model.Image | None, name: str, source: str) -> Composed:
        """The image of a case, or the base that the command line names.  Raises NvsimError if it cannot be made."""
        base, layers = resolve(image, name, source)
        key = hashlib.sha256(repr((base.name, layers)).encode()).hexdigest()[:12]
        path = f"{self._folder}/{base.name}-{key}"
        with self._lock:
            if not os.path.isdir(path):
                self._compose(base, layers, path)
        return replace(described(image, name, source), path=path)

    def archive(self, image: Composed, path_in_env: str) -> archive.Archive:
        """A composed image as a file that engines load; each made once.  `path_in_env` is its PATH, unless it has one:
        engines differ in what they take when an image says nothing."""
        name = os.path.basename(image.path)
        env = (("PATH", path_in_env), *image.env) if "PATH" not in dict(image.env) else image.env
        with self._lock:
            if name not in self._archives:
                self._archives[name] = archive.write(image.path, f"{image.path}.tar", f"localhost/nvsim/{name}:latest",
                                                     env=env, command=image.command)
            return self._archives[name]

    def _compose(self, base: Base, layers: tuple[model.Image, ...], path: str) -> None:
        plain = f"{self._folder}/{base.name}"
        if not os.path.isdir(plain):
            _made(plain, lambda fresh: compose(base, fresh))

        def layered(fresh: str) -> None:
            clone(plain, fresh)
            for layer in layers:
                apply(layer, fresh)

        _made(path, layered)


def _made(path: str, make: Callable[[str], None]) -> None:
    """Makes a folder under another name and renames it: a killed run leaves no half image under the right name."""
    fresh = f"{path}.new"
    shutil.rmtree(fresh, ignore_errors=True)
    make(fresh)
    os.rename(fresh, path)


def clone(source: str, target: str) -> None:
    """A copy that shares no file with its source (blocks, where the file system can)."""
    command = ["cp", "-a", "--reflink=auto", "--", source, target]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NvsimError(f"cannot copy an image: {done.stderr.strip()}", source=target)


def compose(base: Base, root: str) -> None:
    """Writes a base's file system.  Raises NvsimError if this machine lacks one of its programs."""
    for folder in FOLDERS:
        os.makedirs(f"{root}/{folder}")
    os.chmod(f"{root}/tmp", 0o1777)
    for name in ("bin", "sbin", "lib"):
        os.symlink(f"usr/{name}", f"{root}/{name}")
    Path(f"{root}/etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n")
    Path(f"{root}/etc/group").write_text("root:x:0:\nnogroup:x:65534:\n")
    if base.layout == "busybox":
        _busybox(root)
        return
    libraries = LIBRARY_FOLDERS[base.layout]
    os.makedirs(f"{root}/usr/lib64", exist_ok=True)
    os.symlink("usr/lib64", f"{root}/lib64")
    os.makedirs(root + libraries, exist_ok=True)
    for name in base.programs:
        _install(_program(name), f"{root}/usr/{'sbin' if name == 'ldconfig' else 'bin'}/{name}", root, libraries)
    for name in base.shared:
        _library(_located(name), root, libraries)
    os.symlink("bash", f"{root}/usr/bin/sh")
    os.makedirs(f"{root}/etc/ld.so.conf.d")
    Path(f"{root}/etc/ld.so.conf").write_text("include /etc/ld.so.conf.d/*.conf\n")
    Path(f"{root}/etc/ld.so.conf.d/libc.conf").write_text("/usr/local/lib\n")
    # The loader was built for this machine's layout; a foreign layout has to name its folder.
    Path(f"{root}/etc/ld.so.conf.d/{libraries.rpartition('/')[2]}.conf").write_text(f"{libraries}\n")
    ldconfig(root)


def _busybox(root: str) -> None:
    """One static program under all its names."""
    source = shutil.which("busybox")
    if not source:
        raise NvsimError("no busybox on this machine", source="busybox", hint="apt-get install busybox-static")
    shutil.copy(source, f"{root}/usr/bin/busybox")
    applets = subprocess.run([source, "--list"], capture_output=True, text=True, check=True).stdout.split()
    for name in applets:
        if name not in ("busybox", "ldconfig"):
            os.symlink("busybox", f"{root}/usr/bin/{name}")


def _program(name: str) -> str:
    """A program of this machine.  Ubuntu keeps the real ldconfig under another name: `ldconfig` is a script there."""
    for word in (f"{name}.real", name) if name == "ldconfig" else (name,):
        found = shutil.which(word, path="/usr/sbin:/usr/bin:/sbin:/bin")
        if found:
            return found
    raise NvsimError(f"no {name} on this machine", source=name, hint="images are made of this machine's own files")


@functools.cache
def _ldd(path: str) -> tuple[str, ...]:
    """The libraries of a program, its loader last.  A static program has none."""
    said = subprocess.run(["ldd", path], capture_output=True, text=True, check=False).stdout
    return tuple(found for line in said.splitlines()
                 if (found := next((w for w in line.replace("=>", " ").split() if w.startswith("/")), "")))


@functools.cache
def _located(soname: str) -> str:
    """A library of this machine by SONAME, from the loader's cache."""
    said = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True, check=False).stdout
    found = re.findall(rf"^\s*{re.escape(soname)} \(libc6,(?:x86-64|AArch64)[^)]*\) => (\S+)", said, re.M)
    if not found:
        raise NvsimError(f"no {soname} on this machine", source="ldconfig -p")
    return str(found[0])


def _install(source: str, target: str, root: str, libraries: str) -> None:
    shutil.copy(source, target)
    for path in _ldd(source):
        _library(path, root, libraries)


def _library(path: str, root: str, libraries: str) -> None:
    """A library in the image's folder; the loader also at the path that programs name."""
    name = os.path.basename(path)
    target = f"{root}{libraries}/{name}"
    if not os.path.exists(target):
        shutil.copy(os.path.realpath(path), target)
    if name.startswith("ld-linux") and not os.path.exists(f"{root}/lib64/{name}"):
        os.symlink(os.path.relpath(f"{libraries}/{name}", "/usr/lib64"), f"{root}/usr/lib64/{name}")


def ldconfig(root: str) -> None:
    """Writes the image's cache with this machine's ldconfig."""
    done = subprocess.run([_program("ldconfig"), "-r", root], capture_output=True, text=True, check=False)
    if done.returncode:
        raise NvsimError(f"ldconfig failed: {done.stderr.strip()}", source=root)


def apply(image: model.Image, root: str) -> None:
    """Puts a case's own files into an image, in the order that `model.Image` states; nothing leaves `root`."""
    for path in image.folders:
        os.makedirs(inside(root, path), exist_ok=True)
    for path, text in image.files:
        _write(inside(root, path), text.encode())
    for path, target in image.links:
        place = inside(root, path)
        _clear(place)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        os.symlink(target, place)
    for path, soname in image.libraries:
        _write(inside(root, path), elf.shared_object(soname=soname), 0o755)
    if image.ldconfig:
        ldconfig(root)
    for path in image.remove:
        _clear(inside(root, path))


def _write(place: str, content: bytes, mode: int = 0o644) -> None:
    os.makedirs(os.path.dirname(place), exist_ok=True)
    _clear(place)
    Path(place).write_bytes(content)
    os.chmod(place, 0o755 if content.startswith(b"#!") else mode)


def _clear(place: str) -> None:
    if os.path.lexists(place):
        if stat.S_ISDIR(os.lstat(place).st_mode):
            shutil.rmtree(place)
        else:
            os.unlink(place)


def inside(root: str, path: str) -> str:
    """Where a path of the image lies on this machine.  Links of the image are followed inside it, the last component
    not at all.  Raises NvsimError for a loop."""
    done, rest, hops = "", [part for part in path.split("/") if part], 0
    while len(rest) > 1:
        part = rest.pop(0)
        if part in (".", ".."):
            done = os.path.dirname(done) if part == ".." and done not in ("", "/") else done
            continue
        here = f"{done}/{part}"
        if not os.path.islink(root + here):
            done = here
            continue
        target, hops = os.readlink(root + here), hops + 1
        if hops > 40:
            raise NvsimError("too many levels of symbolic links", source=path)
        rest = [p for p in target.split("/") if p] + rest
        done = "" if target.startswith("/") else done
    return f"{root}{done}/{rest[0]}" if rest else root
