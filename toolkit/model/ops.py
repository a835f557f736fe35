"""What `nvidia-container-cli configure` does to a container, as values.  `toolkit.apply.ops` carries them out.

Paths named `path` are below the container's root and are resolved there, every component, when the operation runs.
`describe()` is the line that --debug prints before it does, with the two roots in front of their paths.
"""

from typing import Literal, NamedTuple

from toolkit.errors import ToolkitError
from toolkit.model.native import below

RDONLY, NOSUID, NODEV, NOEXEC = 0x1, 0x2, 0x4, 0x8  # mount(2)
_LOGGED = (RDONLY | NOSUID | NODEV, NOSUID | NOEXEC)  # of files and of the folder of capability devices


class MountTmpfs(NamedTuple):
    """A tmpfs of the given permissions; `create` makes the mount point first, else its absence is an error."""

    path: str
    mode: int = 0o555
    create: bool = False

    def describe(self, rootfs: str = "/", root: str = "/") -> str:
        return f"mounting tmpfs at {below(rootfs, self.path)}"


class Remount(NamedTuple):
    """Final flags of a mount made before, once it is filled."""

    path: str
    flags: int

    def describe(self, rootfs: str = "/", root: str = "/") -> str:
        return f"remounting {below(rootfs, self.path)} with flags 0x{self.flags:x}"


class WriteFile(NamedTuple):
    """A new file of the given content and permissions, owned by the container's owner."""

    path: str
    content: bytes
    mode: int

    def describe(self, rootfs: str = "/", root: str = "/") -> str:
        return f"writing {len(self.content)} bytes to {below(rootfs, self.path)}"


class MakeDir(NamedTuple):
    """A directory and its missing ancestors."""

    path: str
    mode: int = 0o755

    def describe(self, rootfs: str = "/", root: str = "/") -> str:
        return f"creating directory {below(rootfs, self.path)}"


class Bind(NamedTuple):
    """A file or directory of the driver, seen in the container.

    `source` lies below the driver root, or below the container's own root if `origin` is "container" (compatibility
    libraries).  `kind` is what the source has to be: "regular" refuses directories and links, "device" compares the
    number with `major` and `minor`, "any" takes what it finds.
    """

    source: str
    path: str
    flags: int
    kind: Literal["any", "regular", "device"] = "any"
    origin: Literal["driver", "container"] = "driver"
    major: int = 0
    minor: int = 0

    def describe(self, rootfs: str = "/", root: str = "/") -> str:
        shown = f" with flags 0x{self.flags:x}" if self.flags in _LOGGED else ""
        source = below(rootfs if self.origin == "container" else root, self.source)
        return f"mounting {source} at {below(rootfs, self.path)}{shown}"


class Symlink(NamedTuple):
    """A link; whatever is at that place already stays."""

    path: str
    target: str

    def describe(self, rootfs: str = "/", root: str = "/") -> str:
        return f"creating symlink {below(rootfs, self.path)} -> {self.target}"


class AddToProfile(NamedTuple):
    """One more GPU, by minor, in the mask of an application profile file; the file is made if missing."""

    path: str
    minor: int

    def describe(self, rootfs: str = "/", root: str = "/") -> str:
        return f"adding GPU minor {self.minor} to {below(rootfs, self.path)}"


class AllowDevice(NamedTuple):
    """Read and write, not mknod, of a character device in the container's device cgroup."""

    major: int
    minor: int

    def describe(self, rootfs: str = "/", root: str = "/") -> str:
        return f"allowing device c {self.major}:{self.minor} rw"


class RunLdconfig(NamedTuple):
    """ldconfig over `dirs`, confined to the container's root.  `host`: the program is the host's, not the image's."""

    path: str
    dirs: tuple[str, ...]
    host: bool = True

    def describe(self, rootfs: str = "/", root: str = "/") -> str:
        origin = "host" if self.host else "container"
        return f"executing {self.path} from {origin} for {' '.join(self.dirs)}"


Op = MountTmpfs | Remount | WriteFile | MakeDir | Bind | Symlink | AddToProfile | AllowDevice | RunLdconfig

_PROFILE = ('{{ "profiles": [{{"name": "_container_", "settings": ["EGLVisibleDGPUDevices", 0x{:x}]}}], '
            '"rules": [{{"pattern": [], "profile": "_container_"}}]}}')


def profile_text(mask: int) -> bytes:
    """The application profile that makes EGL use the GPUs of a mask of minors, without a final newline."""
    return _PROFILE.format(mask).encode()


def profile_mask(content: bytes) -> int:
    """The mask in a profile: its first hexadecimal number.  Raises ToolkitError if there is none."""
    start = content.find(b"0x")
    digits = content[start + 2:]
    length = next((i for i, byte in enumerate(digits) if byte not in b"0123456789abcdefABCDEF"), len(digits))
    if start < 0 or not length:
        raise ToolkitError("invalid application profile")
    return int(digits[:length], 16)
