"""A built host, laid over the real one in the namespaces of process 1 of a machine (nvsim/enter.py).

What is laid where (measured on Linux 6.1 and 6.18):
  /usr, /etc, …   overlay of the built folder over the real one; writes go to a tmpfs
  /run            a tmpfs with the real entries bound back, then the built ones; of /var only ldconfig's notes, unless
                  the host has /var/nvidia: then it is like /run
  /dev            a tmpfs with copies of the real nodes (NVIDIA's left out), then the built ones
  driver root     where it is not /: a tmpfs with such overlays, a /dev of its own, and /proc and /sys
  /proc/driver    the built folder: procfs takes no new ones; /proc/devices and /proc/modules are bound files
  /sys            overlays of the built parts over sysfs, which is a valid lower layer; /sys/fs/cgroup as asked for
When the driver comes or goes while the machine runs, nvsim/appear.py shows it.
"""

import contextlib
import functools
import json
import os
import shutil
import stat

from nvsim import appear, capabilities, enter_mounts, kernel, phase, procfs
from nvsim import syscalls as sc

SCRATCH = ".nvsim/scratch"  # below the built root: mount point of the tmpfs that takes all writes
KERNEL_LOG = ".nvsim/kernel.log"  # made by nvsim/build.py, written to by `nvsim ctl xid`
SPECIAL = ("dev", "proc", "sys", "run", "tmp", "var", ".nvsim")  # var: only the link var/run, which is there already
REAL = ".nvsim/real"  # the mark of a folder that is laid over a machine with GPUs of its own, whose they stay
RUNTIME_FOLDERS = ("/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin", "/bin", "/sbin",
                   "/usr/libexec/crio", "/usr/lib/cri-o-runc/sbin")  # where engines look that heed no PATH
BINFMT = "proc/sys/fs/binfmt_misc"
# What most machines have nothing in, of a Jetson and of MPS, and the folders of which a machine then has its own.
SHADOWED = {"/var/nvidia": "/var", "/tmp": "/tmp", "/var/log": "/var/log"}
DISTRIBUTION = ("bin", "etc", "lib", "lib32", "lib64", "libx32", "opt", "sbin", "usr")  # of a driver root of its own
NVIDIA_NODES = ("nvidia", "nvhost", "nvmap", "nvgpu", "nvsciipc", "host1x", "tegra_dc", "v4l2-nv")
OTHER_NODES = ("dxg", "dri", "gdrdrv", "infiniband", "vfio")  # beside those
CONTAINER_NODES = ("full", "null", "random", "tty", "urandom", "zero")  # in every container: OCI runtime specification
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class Layers:
    """Lays one built host over the real root of the present mount namespace."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.scratch = f"{root}/{SCRATCH}"
        self.is_root = _can_make_nodes()
        self.is_real = os.path.exists(f"{root}/{REAL}")
        with open(f"{root}/.nvsim/machine.json") as f:
            self.host: dict[str, Any] = json.load(f)
        self.live = kernel.live(root, self.host)
        self.laid: dict[str, tuple[int, int]] = {}  # by place of an overlay: what is written there, what lies below

    def lay(self, cgroup: str, lowlevel: dict[str, str]) -> None:
        """All of it, in the order that the parts need."""
        sc.mount("none", "/", flags=sc.REC | sc.PRIVATE)
        self.real = procfs.text("/proc/devices"), procfs.text("/proc/modules")
        os.makedirs(self.scratch, exist_ok=True)
        sc.mount("nvsim", self.scratch, "tmpfs", options="mode=755")
        enter_mounts.add_top_folders(self.root, SPECIAL, f"{self.scratch}/top", nodes=self.is_root)
        shown = [(point, os.open(point, os.O_PATH)) for point in procfs.mounts_below("/proc")] if self.is_real else []
        sc.mount("proc", "/proc", "proc", sc.NOSUID | sc.NODEV | sc.NOEXEC)
        for point, fd in shown:
            with contextlib.suppress(OSError):  # of a process that is in another PID namespace
                sc.mount(f"/proc/self/fd/{fd}", point, flags=sc.BIND | sc.REC)
        tools = {path: name for name in lowlevel for path in _installed(name)}
        kept = {path: os.open(os.path.dirname(path), os.O_PATH) for path in tools}
        self.distribution = {name: os.open(f"/{name}", os.O_PATH | os.O_DIRECTORY)
                             for name in DISTRIBUTION if os.path.isdir(f"/{name}")}
        self.lay_trees()
        self._run()
        if not self.is_real:
            self._dev()
            self._proc()
            self.lay_sys()
        if self.host["driver_root"] != "/" and not phase.is_away(self.root, "files"):
            self.lay_driver_root()
        enter_mounts.show_cgroup(cgroup)
        os.makedirs(f"{self.scratch}/lowlevel", exist_ok=True)
        for number, (path, name) in enumerate(tools.items()):
            self._wrap(path, kept[path], lowlevel[name], f"{self.scratch}/lowlevel/{number}")
        if self.is_real:
            return
        enter_mounts.hide_ldconfig_notes(self.scratch, nodes=self.is_root)
        self.ldconfig()
        kernel.start(self.root, self.host, appear.Appearing(self).show)

    def lay_trees(self) -> None:
        """Overlays of every built top-level folder over the real one that it names (/lib may be a link to usr/lib).

        May be called again, after files have come: what was written in the meantime stays."""
        layers: dict[str, list[int]] = {}
        for name in sorted(os.listdir(self.root)):
            built = f"{self.root}/{name}"
            if name == "home":  # what its users write there must stay
                if not os.path.isdir(f"{self.scratch}/home"):
                    enter_mounts.shadow("/home", f"{self.scratch}/home", skip=lambda name: False, nodes=self.is_root)
                enter_mounts.bind_tree(built, "/home")
                enter_mounts.bind_tree(f"{self.root}/{kernel.TWINS}/home", "/home")
            elif name not in SPECIAL and os.path.isdir(built) and not os.path.islink(built):
                layers.setdefault(os.path.realpath(f"/{name}"), []).extend(self._layers(f"/{name}"))
        for target, lowers in sorted(layers.items()):
            self._overlay(target, lowers)
        for board in self.host["boards"]:  # the built file itself: live updates must reach every process that maps it
            if not board.startswith("/run/") and not phase.hidden(self.root, board):  # what lies in /run is bound
                sc.mount(f"{self.live}{board}", board, flags=sc.BIND)

    def _layers(self, path: str) -> list[int]:
        """A built folder, below what stands in for files of another architecture in it."""
        return [os.open(f"{top}{path}", os.O_PATH) for top in (f"{self.root}/{kernel.TWINS}", self.root)
                if os.path.isdir(f"{top}{path}")]

    def _overlay(self, target: str, lowers: list[int], *, writable: bool = True) -> None:
        """The folders `lowers`, the first on top, over `target`; mounts below the target stay where they are.

        A second one takes the place of the first: the kernel does not stack many of them."""
        inner = [(m, os.open(m, os.O_PATH)) for m in procfs.mounts_below(target)]
        real = os.open(target, os.O_PATH | os.O_DIRECTORY)
        if writable and target in self.laid:
            written, real = self.laid[target]
            lowers = [written, *lowers]
        options = "lowerdir=" + ":".join(f"/proc/self/fd/{fd}" for fd in (*lowers, real))
        if writable:
            name = target.strip("/").replace("/", "-") + ("-again" if target in self.laid else "")
            upper, work = f"{self.scratch}/upper/{name}", f"{self.scratch}/work/{name}"
            os.makedirs(upper)
            os.makedirs(work)
            sc.copy_mode(real, upper)
            up, down = os.open(upper, os.O_PATH), os.open(work, os.O_PATH)
            self.laid[target] = up, real
            options += f",upperdir=/proc/self/fd/{up},workdir=/proc/self/fd/{down}"
            options += "" if self.is_root else ",userxattr"
        sc.mount("nvsim", target, "overlay", 0 if writable else sc.RDONLY, options)
        for path, fd in inner:
            with contextlib.suppress(OSError):  # what was hidden by a built file stays hidden
                sc.mount(f"/proc/self/fd/{fd}", path, flags=sc.BIND | sc.REC)

    def _run(self) -> None:
        """/run: what is there now, then what the host has."""
        enter_mounts.shadow("/run", f"{self.scratch}/run", skip=lambda name: False, nodes=self.is_root)
        enter_mounts.bind_tree(f"{self.root}/run", "/run")
        for own, folder in SHADOWED.items():
            if os.path.isdir(f"{self.root}{own}"):
                self.shadow_for(own)
                enter_mounts.bind_tree(f"{self.root}{folder}", folder)
        with open("/run/nvsim-host", "w") as f:
            f.write(self.root + "\n")
        sc.bind_file(f"{self.root}/{KERNEL_LOG}", "/run/nvsim-kernel.log")

    def shadow_for(self, path: str) -> None:
        """The folder of SHADOWED that a path lies in, if any, is one in memory: nothing is made in the real one."""
        for own, folder in SHADOWED.items():
            fresh = f"{self.scratch}/{folder.replace('/', '-')}"
            if f"{path}/".startswith(f"{own}/") and not os.path.isdir(fresh):
                enter_mounts.shadow(folder, fresh, skip=lambda name: False, nodes=self.is_root)

    def _dev(self) -> None:
        """/dev: the nodes that are there now, except NVIDIA's, then those of the host."""
        own = {node["path"].split("/")[2] for node in self.host["devices"] if node["path"].startswith("/dev/")}
        enter_mounts.shadow("/dev", f"{self.scratch}/dev", skip=lambda name: _is_nvidia_node(name) or name in own,
                            nodes=self.is_root)
        for path, make in self.nodes():
            if path.startswith("/dev/") and not phase.hidden(self.root, path):
                make()
        now = {path: minor for path, minor in capabilities.state(self.root).items()
               if os.path.lexists(f"{self.root}/dev/nvidia-caps/nvidia-cap{minor}")}
        capabilities.follow_nodes("/dev", {}, now, major=kernel.caps_major(self.host), placeholders=True)

    def nodes(self) -> "list[tuple[str, Callable[[], None]]]":
        """The nodes and links of the host that its kernel modules make when they are loaded: path, and what makes it.
        Nodes of MIG instances come and go by themselves."""
        links = [(path, target) for path, target in self.host["links"] if path.startswith("/dev/")]
        return [*((node["path"], functools.partial(self._node, node)) for node in self.host["devices"]
                  if not _is_instance_node(node)),
                *((path, functools.partial(_link, target, path)) for path, target in links)]

    def lay_driver_root(self) -> None:
        """The whole root of a driver container: what was built over a distribution, which is the real machine's.

        As in the container its /dev has the nodes that any container has and the driver's; /proc and /sys are those
        of the machine."""
        root = self.host["driver_root"]
        built = f"{self.root}{root}"
        sc.mount("nvsim", root, "tmpfs", options="mode=755")
        for entry in sorted(os.scandir(built), key=lambda e: e.name):
            if entry.is_symlink():
                os.symlink(os.readlink(entry.path), f"{root}/{entry.name}")
            elif entry.name != "dev":
                os.mkdir(f"{root}/{entry.name}")
        for name, real in self.distribution.items():
            place = f"{root}/{name}"
            if os.path.islink(place):
                continue
            os.makedirs(place, exist_ok=True)
            sc.mount(f"/proc/self/fd/{real}", place, flags=sc.BIND | sc.REC)
        for name in sorted(os.listdir(root)):
            place = f"{root}/{name}"
            if os.path.isdir(f"{built}/{name}") and not os.path.islink(place):
                self._overlay(place, self._layers(place))
        for board in self.host["boards"]:
            sc.mount(f"{self.live}{board}", board, flags=sc.BIND)
        os.makedirs(f"{root}/dev")
        for name in CONTAINER_NODES:
            enter_mounts.keep(f"/dev/{name}", f"{root}/dev/{name}", nodes=self.is_root)
        for node in self.host["devices"]:
            if node["path"].startswith(f"{root}/dev/") and not phase.hidden(self.root, node["path"]):
                self._node(node)
        for name in ("proc", "sys"):
            os.makedirs(f"{root}/{name}", exist_ok=True)
            sc.mount(f"/{name}", f"{root}/{name}", flags=sc.BIND | sc.REC)

    def _node(self, node: "dict[str, Any]") -> None:
        path = node["path"]
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if not self.is_root:  # the placeholder rule: a file stands where the node would be
            sc.bind_file(f"{self.root}{path}", path)
            return
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(node["major"], node["minor"]))
        os.chown(path, node.get("uid", 0), node.get("gid", 0))
        os.chmod(path, node["mode"])

    def _proc(self) -> None:
        """/proc/driver as the host has it (empty without a driver), and the two text files every tool reads."""
        if os.path.isdir("/proc/driver"):
            # The folder of the tree itself: what the modules show there comes and goes with them, in containers too.
            sc.mount(f"{self.root}/proc/driver", "/proc/driver", flags=sc.BIND)
            sc.protect("/proc/driver")
        for path, text in self._texts().items():
            self._merged(path, text)
        if os.path.exists(f"{self.root}/proc/version"):
            self._merged("/proc/version", procfs.text(f"{self.root}/proc/version"))
        if os.path.exists(f"{self.root}/proc/misc"):
            self._merged("/proc/misc", procfs.misc(procfs.text("/proc/misc"), procfs.text(f"{self.root}/proc/misc")))
        if os.path.isdir(f"{self.root}/{BINFMT}") and os.path.isdir(f"/{BINFMT}"):
            sc.mount("nvsim", f"/{BINFMT}", "tmpfs", options="mode=555")
            enter_mounts.bind_tree(f"{self.root}/{BINFMT}", f"/{BINFMT}", readonly=True)

    def _texts(self) -> dict[str, str]:
        """What /proc says of devices and modules: the real kernel's and the host's."""
        devices, modules = self.real
        return {"/proc/devices": procfs.devices(devices, procfs.text(f"{self.root}/proc/devices")),
                "/proc/modules": procfs.text(f"{self.root}/proc/modules") + "".join(
                    line for line in modules.splitlines(keepends=True) if not line.startswith("nvidia"))}

    def show_texts(self) -> None:
        """The same, as they are now: in the files that the machine and its containers have bound."""
        for path, text in self._texts().items():
            with contextlib.suppress(FileNotFoundError), open(f"{self.scratch}/{os.path.basename(path)}", "r+") as f:
                f.write(text)
                f.truncate()

    def _merged(self, path: str, text: str) -> None:
        if os.path.exists(path):  # a kernel without loadable modules has no /proc/modules, and none can be added
            file = f"{self.scratch}/{os.path.basename(path)}"
            with open(file, "w") as f:
                f.write(text)
            sc.mount(file, path, flags=sc.BIND)
            sc.protect(path)

    def lay_sys(self, *, again: bool = False) -> None:
        """The built parts of /sys over sysfs; what sysfs has no folder for cannot be shown.

        `again`: in place of those that lie there, because the tree has changed below them."""
        base, driver_root = f"{self.root}/sys", self.host["driver_root"].rstrip("/")
        for name in sorted(os.listdir(base)) if os.path.isdir(base) else []:
            if os.path.isdir(f"/sys/{name}") and name != "fs":
                if again and os.path.ismount(f"/sys/{name}"):
                    sc.umount(f"/sys/{name}")
                self._overlay(f"/sys/{name}", [os.open(f"{base}/{name}", os.O_PATH)], writable=False)
                if again and driver_root and os.path.isdir(f"{driver_root}/sys/{name}"):
                    sc.mount(f"/sys/{name}", f"{driver_root}/sys/{name}", flags=sc.BIND)

    def _wrap(self, path: str, folder: int, launcher: str, wrapper: str) -> None:
        """Puts a wrapper where a low-level runtime is; the real one stays reachable beside the wrapper.

        With its `folder`: runc 1.2 and newer starts itself from an overlay of the folder that it lies in, and such an
        overlay shows no mount on the file alone."""
        os.mkdir(f"{wrapper}.real")
        # With what is mounted there: on an emulated machine within another the program is a wrapper itself.
        sc.mount(f"/proc/self/fd/{folder}", f"{wrapper}.real", flags=sc.BIND | sc.REC)
        with open(wrapper, "w") as f:
            f.write(launcher.replace("@REAL@", f"{wrapper}.real/{os.path.basename(path)}"))
        os.chmod(wrapper, 0o755)
        sc.mount(wrapper, path, flags=sc.BIND)

    def ldconfig(self) -> None:
        """The loader's cache of both hosts together, written by this machine's own ldconfig, which is told the folders
        that the host's one reads without being told.  It must look into each file: what it noted of other machines, by
        inode and time, can fit one of these (`-i`)."""
        tool = shutil.which("ldconfig", path="/sbin:/usr/sbin:/bin:/usr/bin")
        if tool and os.path.exists(f"{self.root}/etc/ld.so.cache"):
            folders = f"{self.scratch}/ld.so.conf"
            with open(folders, "w") as f:
                f.write("\n".join(["include /etc/ld.so.conf", *self.host["ld_directories"], ""]))
            child = os.fork()
            if child == 0:
                quiet = os.open("/dev/null", os.O_RDWR)
                os.dup2(quiet, 2)
                os.execv(tool, ["ldconfig", "-X", "-i", "-f", folders])
            os.waitpid(child, 0)
            if self.host.get("cache") == "kept" and self.host["driver_root"] == "/":
                from nvsim import enter_cache  # 10 ms; the caches of most machines are as ldconfig writes them

                enter_cache.keep(self.live if os.path.exists(f"{self.live}/etc/ld.so.cache") else self.root, self.root)


def _installed(name: str) -> list[str]:
    """Every program of this name that somebody may start: by PATH or, as podman does, by folders of its own choice."""
    folders = dict.fromkeys([*os.environ.get("PATH", "").split(":"), *RUNTIME_FOLDERS])
    found = (shutil.which(name, path=folder) for folder in folders if folder)
    return list(dict.fromkeys(os.path.realpath(path) for path in found if path))


def _link(target: str, path: str) -> None:
    if not os.path.lexists(path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.symlink(target, path)


def _can_make_nodes() -> bool:
    """Whether this process is root outside any user namespace: only then does the kernel let it make device nodes."""
    return procfs.text("/proc/self/uid_map").split() == ["0", "0", "4294967295"]


def _is_nvidia_node(name: str) -> bool:
    """Whether it is a node, or a folder of nodes, of which the machine has its own or none."""
    return name.startswith(NVIDIA_NODES) or name in OTHER_NODES


def _is_instance_node(node: "dict[str, Any]") -> bool:
    """Whether it belongs to a MIG instance: those are made as the tree has them now, not as it was built."""
    return "/nvidia-caps/" in node["path"] and capabilities.FIRST <= node["minor"] <= capabilities.LAST
