"""Images that attack, and a host tree around their root that has to stay as it is.  For the tests beside this file."""

import json
import os
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
COMPAT = "usr/local/cuda/compat/libcuda.so.570.86.15"
SECRET = "SECRET of the host\n"
HOOKS = (
    ("create-symlinks", "--link", "libcuda.so.1::/usr/lib/libcuda.so", "--link", "../x::/run/new/link"),
    ("chmod", "--mode", "777", "--path", "/usr/lib", "--path", "/run", "--path", "/etc"),
    ("enable-cuda-compat", "--host-driver-version=550.54.15"),
    ("disable-device-node-modification",),
    ("update-application-profile",),
    ("update-ldcache", "--folder", "/opt/driver"),
)
DRIVER = """
    import json, os, sys
    sys.path.insert(0, {top!r})
    from toolkit.apply import ldconfig, linux
    from toolkit.apply.rootfs import Rootfs, RootfsError
    from toolkit.cmd.cdi_hook.main import main
    linux.unshare(linux.NEWNS)
    linux.mount(None, "/", None, linux.PRIVATE | linux.REC)
    if os.path.isdir("/proc/driver"):
        linux.mount({params!r}, "/proc/driver", None, linux.BIND)
    root = {root!r}
    linux.mount(root, root, None, linux.BIND)
    def outside():
        with open("/proc/self/mountinfo") as f:
            return [line for line in f if not (line.split()[4] + "/").startswith(root + "/")]
    before = outside()
    result = []
    {body}
    assert outside() == before, "a mount is left outside the root"
    print(json.dumps(result))
"""


class Attack:
    """A host tree H with a container root in it."""

    def __init__(self, home):
        self.home = home
        self.root, self.victim, self.params = home / "c/rootfs", home / "victim", home / "params"
        for folder in ("etc/ld.so.conf.d", "usr/lib", "usr/local/cuda/compat", "proc/driver/nvidia", "dev", "sys",
                       "run", "opt/driver", "tmp"):
            (self.root / folder).mkdir(parents=True)
        for name in ("lib", "lib64"):
            (self.root / name).symlink_to("usr/lib")
        (self.root / "etc/ld.so.conf").write_text("include /etc/ld.so.conf.d/*.conf\n")
        (self.root / COMPAT).write_bytes(b"library")
        (self.root / "proc/driver/nvidia/params").write_text("ModifyDeviceFiles: 1\n")
        os.mknod(self.root / "dev/nvidia0", stat.S_IFCHR | 0o666, os.makedev(195, 0))
        (home / "etc").mkdir()
        (home / "etc/shadow").write_text(SECRET)
        (home / "victim/lib").mkdir(parents=True)
        (home / "victim/f").write_text(SECRET)
        (self.params / "nvidia").mkdir(parents=True)
        (self.params / "nvidia/params").write_text("ModifyDeviceFiles: 1\n")
        self.accomplices = []  # processes that change the root while a hook works
        (home / "bundle").mkdir()
        (home / "bundle/config.json").write_text(json.dumps({"root": {"path": str(self.root)}}))
        (home / "bundle/state").write_text(json.dumps({"bundle": str(home / "bundle")}))

    def put(self, path, target):
        """A hostile link in place of whatever the image has there."""
        place = self.root / path
        if place.is_dir() and not place.is_symlink():
            subprocess.run(["rm", "-rf", str(place)], check=True)
        place.unlink(missing_ok=True)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(target)

    def up(self, path, target):
        """The same with a relative target that has more dots than the root is deep."""
        self.put(path, "../" * 40 + str(target).lstrip("/"))

    def host(self):
        """All of H but the root: what has to stay as it is."""
        seen = {}
        for folder, folders, files in os.walk(self.home):
            if folder == str(self.root):
                folders.clear()
                continue
            for name in (*folders, *files):
                path = os.path.join(folder, name)
                found = os.lstat(path)
                content = Path(path).read_bytes() if stat.S_ISREG(found.st_mode) else b""
                if path != str(self.root):
                    seen[path] = (found.st_ino, found.st_mode, found.st_uid, found.st_mtime_ns, content)
        return seen

    def leaks(self):
        """Files below the root that hold the host's secret."""
        return [os.path.join(folder, name) for folder, _, files in os.walk(self.root) for name in files
                if stat.S_ISREG(os.lstat(os.path.join(folder, name)).st_mode)
                and os.lstat(os.path.join(folder, name)).st_size < 1 << 20
                and SECRET.strip().encode() in Path(folder, name).read_bytes()]

    def run(self, body, **values):
        """Runs statements in a mount namespace where the root is a mount point; what they left in `result`."""
        code = textwrap.dedent(DRIVER).format(top=str(TOP), params=str(self.params), root=str(self.root),
                                              body=textwrap.dedent(body).strip(), **values)
        before = self.host()
        mounts = Path("/proc/self/mountinfo").read_text()
        done = subprocess.run([sys.executable, "-IS", "-c", code], capture_output=True, text=True, errors="replace",
                              timeout=120, cwd="/")
        self.calm()
        assert "Traceback" not in done.stderr, done.stderr
        assert done.returncode == 0, done.stderr
        assert self.host() == before
        assert Path("/proc/self/mountinfo").read_text() == mounts
        assert self.leaks() == []
        return json.loads(done.stdout.splitlines()[-1]), done.stderr

    def calm(self):
        """Ends those who change the root, so that one can look at it."""
        for process in self.accomplices:
            process.kill()
            process.wait()

    def run_hooks(self, *hooks):
        """Exit statuses of hooks, one after the other."""
        commands = [["nvidia-cdi-hook", *hook, "--container-spec", str(self.home / "bundle/state")] for hook in hooks]
        return self.run(f"result = [main(command) for command in {commands!r}]")


ATTACKS = {
    "nothing": lambda a: None,
    "the cache is a link": lambda a: a.put("etc/ld.so.cache", a.victim / "f"),
    "the cache is a relative link": lambda a: a.up("etc/ld.so.cache", a.victim / "f"),
    "the cache's temporary name is a link": lambda a: a.put("etc/ld.so.cache~", a.victim / "f"),
    "ld.so.conf is a link": lambda a: a.put("etc/ld.so.conf", a.home / "etc/shadow"),
    "ld.so.conf.d is a link": lambda a: a.put("etc/ld.so.conf.d", a.victim),
    "ld.so.conf.d is a relative link": lambda a: a.up("etc/ld.so.conf.d", a.victim),
    "etc is the root of everything": lambda a: a.put("etc", "../../.."),
    "etc is a link": lambda a: a.put("etc", a.victim),
    "etc is a magic link": lambda a: a.put("etc", f"/proc/self/root{a.victim}"),
    "etc is somebody's working directory": lambda a: a.put("etc", "/proc/1/cwd"),
    "etc is a loop": lambda a: a.put("etc", "etc"),
    "usr is a link": lambda a: a.put("usr", a.victim),
    "usr is slash": lambda a: a.put("usr", "/"),
    "the library folder is a link": lambda a: a.put("usr/lib", a.victim / "lib"),
    "the library folder is a relative link": lambda a: a.up("usr/lib", a.victim / "lib"),
    "the library is a link": lambda a: a.put("usr/lib/libcuda.so", a.victim / "f"),
    "run is a link": lambda a: a.put("run", a.victim),
    "run is a relative link": lambda a: a.up("run", a.victim),
    "proc is a link": lambda a: a.put("proc", a.victim),
    "proc is a relative link": lambda a: a.up("proc", a.victim),
    "the parameters are a link": lambda a: a.put("proc/driver/nvidia/params", a.victim / "f"),
    "the parameters' folder is a link": lambda a: a.up("proc/driver/nvidia", a.victim),
    "dev is a link": lambda a: a.put("dev", "/dev"),
    "debian_version is a link": lambda a: a.up("etc/debian_version", a.home / "etc/shadow"),
    "alpine, and its list is a link": lambda a: ((a.root / "etc/alpine-release").write_text("3.20\n"), a.put(
        f"etc/ld-musl-{os.uname().machine}.path", a.victim / "f")),
    "the profile's folder is a link": lambda a: a.put("etc/nvidia", a.victim),
    "the profile is a link": lambda a: a.put("etc/nvidia/nvidia-application-profiles-rc.d/10-container.conf",
                                             a.victim / "f"),
    "cuda is slash": lambda a: a.put("usr/local/cuda", "/"),
    "compat is the host's": lambda a: a.up("usr/local/cuda/compat", a.victim / "lib"),
    "the compat library is a link": lambda a: a.put(COMPAT, a.home / "etc/shadow"),
    "the compat library is huge": lambda a: os.truncate(a.root / COMPAT, 10 << 30),
    "ld.so.conf includes the host": lambda a: (a.root / "etc/ld.so.conf").write_text(
        f"include {a.victim}/*\ninclude /../../../..{a.victim}/*\ninclude /proc/1/root{a.victim}/*\n"),
}


SWAPPER = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
a, b = map(os.fsencode, sys.argv[1:])
print("ready", flush=True)
while True:
    assert libc.syscall({renameat2}, -100, a, -100, b, 2) == 0  # RENAME_EXCHANGE
"""
