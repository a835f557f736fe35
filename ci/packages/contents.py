"""What is in each package, and what packages say of themselves; the same for .deb and .rpm.

Names, places and dependencies are those of NVIDIA's packages, version 1.20, whose places these take.
"""

from dataclasses import dataclass

MODULES = "/usr/lib/nvidia-container-toolkit"
PYTHON = "/usr/bin/python3"
SUMMARY = "NVIDIA Container Toolkit"
BASE, TOOLKIT = "nvidia-container-toolkit-base", "nvidia-container-toolkit"
OLD_RUNTIME, OLD_HOOK = "nvidia-container-runtime (<= 3.5.0-1)", "nvidia-container-runtime-hook"
OLD_RPMS = (OLD_RUNTIME, f"{OLD_HOOK} (<= 1.4.0-2)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """Relations are in Debian's words, VERSION for that of the packages; what a package `breaks` it replaces, too.

    `obsoletes`, `provides` and `conflicts` are what RPM has for `breaks`.  `files` are places, each with the file of
    this folder that goes there.
    """

    name: str
    summary: str
    programs: tuple[str, ...]
    depends: tuple[str, ...]
    breaks: tuple[str, ...] = ()
    obsoletes: tuple[str, ...] = ()
    provides: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()
    files: tuple[tuple[str, str], ...] = ()
    modules: bool = False


PACKAGES = (
    Package(
        name=BASE,
        summary=f"{SUMMARY}: the runtime, nvidia-ctk and the CDI hooks",
        programs=("nvidia-container-runtime", "nvidia-ctk", "nvidia-cdi-hook"),
        depends=("python3 (>= 3.11)",),
        breaks=(OLD_RUNTIME, OLD_HOOK, f"{TOOLKIT} (<= 1.10.0-1)"),
        obsoletes=OLD_RPMS,
        provides=("nvidia-container-runtime",),
        conflicts=(f"{TOOLKIT} (<= 1.10.0-1)",),
        files=(
            ("UNITS/nvidia-cdi-refresh.service", "systemd/nvidia-cdi-refresh.service"),
            ("UNITS/nvidia-cdi-refresh.path", "systemd/nvidia-cdi-refresh.path"),
            ("RULES/99-nvidia-cdi-refresh.rules", "systemd/99-nvidia-cdi-refresh.rules"),
            ("/etc/nvidia-container-toolkit/nvidia-cdi-refresh.env", "systemd/nvidia-cdi-refresh.env"),
        ),
        modules=True,
    ),
    Package(
        name="libnvidia-container-tools",
        summary=f"{SUMMARY}: nvidia-container-cli",
        programs=("nvidia-container-cli",),
        depends=(f"{BASE} (= VERSION)",),
    ),
    Package(
        name=TOOLKIT,
        summary=f"{SUMMARY}: the hook of container engines",
        programs=("nvidia-container-runtime-hook",),
        depends=(f"{BASE} (= VERSION)", "libnvidia-container-tools (= VERSION)",
                 "libnvidia-container-tools (<< 2.0.0)"),
        breaks=(OLD_RUNTIME, OLD_HOOK),
        obsoletes=OLD_RPMS,
        provides=("nvidia-container-runtime", OLD_HOOK),
    ),
    Package(
        name="nvidia-container-toolkit-operator-extensions",
        summary=f"{SUMMARY}: the runtimes of the GPU Operator",
        programs=("nvidia-container-runtime.cdi", "nvidia-container-runtime.legacy"),
        depends=(f"{BASE} (= VERSION)",),
    ),
)
