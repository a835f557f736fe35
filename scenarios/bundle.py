"""A request and an image as the OCI spec that docker would write.

Facts: github.com/moby/moby `oci/defaults.go`, `oci/caps/defaults.go` and the runtime-spec.  Left out because no case
can see it: seccomp and AppArmor profiles, resource limits, the container's own network.
"""

from typing import Any

from scenarios.request import Bind, Run

PROBE = "/.nvsim"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_DEFAULT = ("CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE SYS_CHROOT "
            "KILL AUDIT_WRITE")
# In the order of their numbers, include/uapi/linux/capability.h.
_ALL = (
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE "
    "NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN "
    "SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE "
    "MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE")
CAPABILITIES = tuple(f"CAP_{name}" for name in _DEFAULT.split())
ALL_CAPABILITIES = tuple(f"CAP_{name}" for name in _ALL.split())
MASKED = ("/proc/asound", "/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
          "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware")
READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
NAMESPACES = ("pid", "ipc", "uts", "mount", "network")


def spec_of(run: Run, *, env: tuple[tuple[str, str], ...], command: tuple[str, ...], rootfs: str = "rootfs",
            cgroup: str = "", probe: str = "", capabilities: frozenset[str] = frozenset(ALL_CAPABILITIES),
            ) -> dict[str, Any]:
    """The OCI spec of one container.

    `env` is the image's environment, `command` what process 1 executes.  `probe` is the host folder that appears as
    PROBE, "" for none.  `capabilities` are those that may be given at all: a container engine cannot give what it
    does not have."""
    return {
        "ociVersion": "1.0.2",
        "process": _process(run, env, command, capabilities),
        "root": {"path": rootfs, **({"readonly": True} if run.read_only else {})},
        "hostname": "nvsim",
        "mounts": [*_mounts(run), *([_probe_mount(probe)] if probe else []), *map(_bind, run.binds)],
        **({"hooks": {"prestart": [prestart_hook()]}} if run.gpus else {}),
        "annotations": {**dict(run.annotations), **cdi_annotations(run)},
        "linux": {
            "cgroupsPath": cgroup,
            "namespaces": [{"type": kind} for kind in NAMESPACES],
            "resources": {"devices": _rules(run)},
            **({} if run.privileged else {"maskedPaths": list(MASKED), "readonlyPaths": list(READ_ONLY)}),
        },
    }


def prestart_hook() -> dict[str, Any]:
    """The hook that dockerd adds for --gpus; it is looked up in PATH there (moby `daemon/nvidia_linux.go`)."""
    return {"path": "/usr/bin/nvidia-container-runtime-hook", "args": ["nvidia-container-runtime-hook", "prestart"]}


def cdi_annotations(run: Run) -> dict[str, str]:
    """CDI names of --device in the form in which an engine without CDI hands them to the runtime."""
    return {"cdi.k8s.io/nvsim": ",".join(run.cdi)} if run.cdi else {}


def environment_of(run: Run, image: tuple[tuple[str, str], ...]) -> list[str]:
    """Image ENV, then --gpus, then -e: the last of equal names stays, at the place of the first, as docker does it."""
    found = {"PATH": PATH, "HOSTNAME": "nvsim", **dict(image), **dict(run.env)}
    if run.gpus:
        found["NVIDIA_VISIBLE_DEVICES"] = run.gpus
        if run.gpu_capabilities:
            found["NVIDIA_DRIVER_CAPABILITIES"] = ",".join(run.gpu_capabilities)
    return [f"{name}={value}" for name, value in found.items()]


def _process(run: Run, env: tuple[tuple[str, str], ...], command: tuple[str, ...],
             may: frozenset[str]) -> dict[str, Any]:
    uid, _, gid = run.user.partition(":")
    user = {"uid": int(uid or 0), "gid": int(gid or 0)}
    everything = run.privileged or "ALL" in run.cap_add
    wanted = ALL_CAPABILITIES if everything else (*CAPABILITIES, *run.cap_add)
    given = [name for name in ALL_CAPABILITIES if name in wanted and name in may]
    sets = ("bounding", "permitted", "effective") if user["uid"] == 0 else ("bounding",)
    return {"terminal": False, "user": user, "args": list(command), "env": environment_of(run, env), "cwd": run.workdir,
            "capabilities": dict.fromkeys(sets, given), "noNewPrivileges": False}


def _mounts(run: Run) -> list[dict[str, Any]]:
    def mount(target: str, kind: str, *options: str, source: str = "") -> dict[str, Any]:
        return {"destination": target, "type": kind, "source": source or kind, "options": list(options)}

    system = "rw" if run.privileged else "ro"
    return [
        mount("/proc", "proc", "nosuid", "noexec", "nodev"),
        mount("/dev", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
        mount("/dev/pts", "devpts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"),
        mount("/sys", "sysfs", "nosuid", "noexec", "nodev", system),
        mount("/dev/mqueue", "mqueue", "nosuid", "noexec", "nodev"),
        mount("/dev/shm", "tmpfs", "nosuid", "noexec", "nodev", "mode=1777", "size=67108864", source="shm"),
    ]


def _probe_mount(folder: str) -> dict[str, Any]:
    return {"destination": PROBE, "type": "bind", "source": folder, "options": ["bind", "ro", "nosuid", "nodev"]}


def _bind(bind: Bind) -> dict[str, Any]:
    return {"destination": bind.target, "type": "bind", "source": bind.source,
            "options": ["rbind", bind.propagation, "ro" if bind.read_only else "rw"]}


def _rules(run: Run) -> list[dict[str, Any]]:
    """Docker's device rules: everything denied, mknod allowed, then the harmless nodes."""
    if run.privileged:
        return [{"allow": True, "access": "rwm"}]
    nodes = ((1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 1))
    return [
        {"allow": False, "access": "rwm"},
        *({"allow": True, "type": kind, "access": "m"} for kind in ("c", "b")),
        *({"allow": True, "type": "c", "major": major, "minor": minor, "access": "rwm"} for major, minor in nodes),
        {"allow": True, "type": "c", "major": 136, "access": "rwm"},
        {"allow": True, "type": "c", "major": 5, "minor": 2, "access": "rwm"},
    ]


def own_capabilities() -> frozenset[str]:
    """The capabilities that this process may hand on: its bounding set, /proc/self/status CapBnd."""
    with open("/proc/self/status", encoding="ascii") as f:
        bits = next((int(line.split()[1], 16) for line in f if line.startswith("CapBnd:")), 0)
    return frozenset(name for number, name in enumerate(ALL_CAPABILITIES) if bits >> number & 1)


def runtime_of(run: Run) -> str:
    """The program that docker hands the bundle to, "" for the plain low-level runtime.

    CDI names without a runtime go through the toolkit's cdi runtime: runc and crun have no CDI of their own."""
    return run.runtime or ("nvidia-container-runtime.cdi" if run.cdi else "")


