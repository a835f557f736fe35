"""What each binary costs to start: `python3 ci/startup.py`, also as `tox -e startup`.

Milliseconds above a bare `python3 -IS`, best of many, taken in turns so that both see the same machine; peak memory as
the kernel counts it.  Prints, never fails: `tests/contract/test_startup.py` watches the imports, which do not depend
on the machine.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUDGETS = {"start": 2.0, "state": 2.0, "kill": 2.0, "delete": 2.0, "create": 25.0, "hook": 15.0}
ROUNDS = 30
BARE = os.path.realpath(sys.executable)


# A child's peak begins with its parent's size, so a bare interpreter is the parent: none of ours is smaller.
PEAK = """import posix, sys
null = posix.open("/dev/null", posix.O_RDWR)
keep = posix.dup(1)
posix.dup2(null, 1); posix.dup2(null, 2)
pid = posix.posix_spawn(sys.argv[1], sys.argv[1:], posix.environ)
posix.write(keep, str(posix.wait4(pid, 0)[2].ru_maxrss).encode())
"""


def spent(argv: list[str], environment: dict[str, str], stdin: str) -> float:
    """Seconds from exec to exit."""
    files = [(os.POSIX_SPAWN_OPEN, 0, stdin, os.O_RDONLY, 0)]
    files += [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_WRONLY, 0) for fd in (1, 2)]
    start = time.perf_counter()
    pid = os.posix_spawn(argv[0], argv, environment, file_actions=files)
    os.waitpid(pid, 0)
    return time.perf_counter() - start


def peak_of(argv: list[str], environment: dict[str, str], stdin: str) -> int:
    """The peak resident set in KiB."""
    with open(stdin, "rb") as f:
        command = [BARE, "-IS", "-c", PEAK, *argv]
        done = subprocess.run(command, stdin=f, capture_output=True, env=environment, check=True)
    return int(done.stdout)


def config_json() -> bytes:
    """A configuration of the size that docker writes, asking for no GPU."""
    syscalls = [{"names": [f"syscall_{i}" for i in range(300)], "action": "SCMP_ACT_ALLOW"}]
    mounts = [{"destination": f"/mnt/{i}", "source": "/tmp", "type": "bind", "options": ["rbind"]} for i in range(10)]
    spec = {
        "ociVersion": "1.0.2",
        "process": {"user": {"uid": 0, "gid": 0}, "args": ["sh"], "env": ["PATH=/bin"], "cwd": "/"},
        "root": {"path": "rootfs"}, "mounts": mounts,
        "linux": {"seccomp": {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": syscalls}},
    }
    return json.dumps(spec).encode()


def cases(folder: Path) -> list[tuple[str, str, list[str], str]]:
    """Name, budget, command and stdin of everything that is measured."""
    (folder / "config.json").write_bytes(config_json())
    (folder / "state.json").write_text(json.dumps({"ociVersion": "1.0.2", "id": "x", "pid": 1, "bundle": str(folder)}))
    (folder / "rootfs").mkdir()
    tools, nothing, state = folder / "bin", os.devnull, str(folder / "state.json")
    runtime = str(tools / "nvidia-container-runtime")
    found = [(f"nvidia-container-runtime {verb}", verb, [runtime, verb, "x"], nothing)
             for verb in ("start", "state", "kill", "delete")]
    for mode in ("", ".cdi", ".legacy"):
        found.append((f"nvidia-container-runtime{mode} create", "create",
                      [runtime + mode, "create", "--bundle", str(folder), "x"], nothing))
    found.append(("nvidia-container-runtime-hook prestart", "hook",
                  [str(tools / "nvidia-container-runtime-hook"), "prestart"], state))
    for hook in ("create-symlinks", "chmod", "update-ldcache", "enable-cuda-compat",
                 "disable-device-node-modification"):
        found.append((f"nvidia-cdi-hook {hook} --help", "hook", [str(tools / "nvidia-cdi-hook"), hook, "--help"],
                      nothing))
    found.append(("nvidia-ctk hook noop", "hook", [str(tools / "nvidia-ctk"), "hook", "noop"], state))
    cli = str(tools / "nvidia-container-cli")
    found.append(("nvidia-container-cli --version", "hook", [cli, "--version"], nothing))
    return found


def measure(folder: Path) -> None:
    from toolkit import launchers

    launchers.install(str(folder / "bin"))
    low_level = folder / "runc"
    low_level.symlink_to("/bin/true")
    config = folder / "config.toml"
    config.write_text(f'[nvidia-container-runtime]\nruntimes = ["{low_level}"]\n')
    environment = {"PATH": f"{folder}/bin:/usr/bin:/bin", "NVIDIA_CTK_CONFIG_FILE_PATH": str(config)}
    bare = [BARE, "-IS", "-c", "pass"]
    true = [str(low_level)]
    print(f"{'':52}{'ms above bare':>14}{'budget':>8}{'peak MiB':>10}")
    for name, budget, argv, stdin in cases(folder):
        best, best_bare, best_true = 9.0, 9.0, 9.0
        for _ in range(ROUNDS):
            best = min(best, spent(argv, environment, stdin))
            best_bare = min(best_bare, spent(bare, environment, os.devnull))
            best_true = min(best_true, spent(true, environment, os.devnull))
        peak = peak_of(argv, environment, stdin)
        # The runtime ends by becoming the low-level runtime, here `true`, whose own time does not count.
        above = best - best_bare - (best_true if "container-runtime" in name and "hook" not in name else 0)
        print(f"{name:52}{above * 1000:13.1f} {BUDGETS[budget]:7.0f}{peak / 1024:10.1f}")
    print(f"bare python3 -IS: {best_bare * 1000:.1f} ms")


def main() -> int:
    sys.path.insert(0, str(ROOT))
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
