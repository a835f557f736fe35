"""What is wrong with a host's set-up: config.toml, programs, CDI files, engines, WSL 2, Tegra.  Facts → Findings, pure.

The texts are in `mistakes`."""

import re
from collections.abc import Iterator
from posixpath import basename

from toolkit.errors import SpecError
from toolkit.model.doctor import Engine, Facts, Finding
from toolkit.plan.doctor import NO_FILE, Check
from toolkit.plan.mistakes import found
from toolkit.plan.mode import MODES
from toolkit.plan.registry import registry_of, spec_of

# The newest CDI version that an engine reads, by the first version of the engine that does.  Source: release notes of
# podman, docker, containerd and toolkit 1.19.1.
CDI_SINCE: dict[str, tuple[tuple[tuple[int, ...], tuple[int, int]], ...]] = {
    "podman": (((4, 1), (0, 5)), ((5, 1), (0, 7)), ((5, 6), (1, 0))),
    "docker": (((25, 0), (0, 6)), ((26, 1), (0, 7)), ((28, 3), (1, 0))),
    "containerd": (((1, 7), (0, 6)), ((1, 7, 16), (0, 7)), ((2, 1), (1, 0))),
}
_CUDA = re.compile(r"libcuda\.so\.(\d+\.\d+(?:\.\d+)?)")
_NVIDIA = "nvidia-container-runtime"


def _config(facts: Facts) -> Iterator[Finding]:
    path = facts.config_path
    if facts.config_error:
        yield found("config-unusable", facts.config_error, path=path)
    for note in facts.config_notes:
        yield found("config-unknown-key", f"{path}: {note}")
    runtime, cli = facts.config.nvidia_container_runtime, facts.config.nvidia_container_cli
    if runtime.mode not in ("auto", *MODES):
        yield found("config-mode-unknown", f"{path}: nvidia-container-runtime.mode", mode=runtime.mode,
                    modes=", ".join(MODES))
    if cli.no_cgroups and facts.euid == 0:
        yield found("no-cgroups-as-root", f"{path}: nvidia-container-cli.no-cgroups = true")
    if not facts.config.accept_nvidia_visible_devices_envvar_when_unprivileged:
        yield found("unprivileged-variables-ignored",
                    f"{path}: accept-nvidia-visible-devices-envvar-when-unprivileged = false")


def _ldconfig(facts: Facts) -> Iterator[Finding]:
    path, state = facts.ldconfig
    shown = f"{facts.config_path}: nvidia-container-cli.ldconfig: {path}"
    if not facts.config.nvidia_container_cli.ldconfig.startswith("@"):
        yield found("ldconfig-of-the-image", shown)
    elif state == "missing":
        yield found("ldconfig-missing", f"{shown}: {NO_FILE}")
    elif state == "script":
        yield found("ldconfig-is-a-script", f"{shown}: begins with #!")


def _programs(facts: Facts) -> Iterator[Finding]:
    known = dict(facts.programs)
    needed = [_NVIDIA, "nvidia-ctk"]
    if facts.config.nvidia_container_runtime.mode == "legacy" or any(e.name == "docker" for e in facts.engines):
        needed += [f"{_NVIDIA}-hook", "nvidia-container-cli"]
    missing = [f"{name}: not found" for name in needed if not known.get(name)]
    if missing:
        yield found("program-missing", *missing)
    runtimes = facts.config.nvidia_container_runtime.runtimes
    if not known.get("runc") and not known.get("crun") and not any(name.startswith("/") for name in runtimes):
        yield found("low-level-runtime-missing", f"nvidia-container-runtime.runtimes: {', '.join(runtimes)}: not found")


def _cdi_files(facts: Facts) -> Iterator[Finding]:
    """Files that cannot be used, that contradict each other, or that describe another machine."""
    registry = registry_of(spec.document for spec in facts.specs)
    texts = {text for errors in registry.errors.values() for text in errors}
    conflicts = sorted(text for text in texts if text.startswith("conflicting"))
    if conflicts:
        yield found("cdi-conflict", *conflicts)
    for spec in facts.specs:
        path = spec.document.path
        broken = [text for text in registry.errors.get(path, ()) if not text.startswith("conflicting")]
        if broken:
            yield found("cdi-file-unusable", *broken, path=path)
        elif spec.missing:
            yield found("cdi-file-stale", path, *spec.missing, path=path)
        elif facts.driver_version:
            versions = set(_CUDA.findall(repr(_spec(spec.document))))
            if versions and facts.driver_version not in versions:
                yield found("cdi-file-of-another-driver", f"{path}: {', '.join(sorted(versions))}",
                            f"driver: {facts.driver_version}", path=path)


def _spec(document: object) -> object:
    try:
        return spec_of(document)  # type: ignore[arg-type]
    except SpecError:
        return None


def _cdi_versions(facts: Facts) -> Iterator[Finding]:
    """Files of a CDI version that an engine does not read yet."""
    for spec in facts.specs:
        content = spec.document.content
        claimed = str(content.get("cdiVersion", "")) if isinstance(content, dict) else ""
        for engine in facts.engines:
            newest = _newest_cdi(engine)
            if newest and _numbers(claimed)[:2] > newest:
                yield found("cdi-version-too-new", f"{spec.document.path}: cdiVersion {claimed}",
                            f"{engine.name} {engine.version} reads up to {newest[0]}.{newest[1]}.0",
                            engine=engine.name, version=engine.version)


def _newest_cdi(engine: Engine) -> tuple[int, int] | None:
    """The newest CDI version that an engine reads; None for one that has none, or does not say which version it is."""
    own = _numbers(engine.version)
    known = [cdi for since, cdi in CDI_SINCE.get(engine.name, ()) if own and own >= since]
    return known[-1] if known else None


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".") if part.isascii() and part.isdigit())


def _engines(facts: Facts) -> Iterator[Finding]:
    programs = dict(facts.programs)
    for engine in facts.engines:
        if engine.error:
            yield found("engine-configuration-unusable", engine.error, engine=engine.name)
            continue
        ours = [(name, path) for name, path in engine.runtimes if basename(path).startswith(_NVIDIA)]
        if engine.name == "docker" and not ours:
            yield found("docker-without-runtime", engine.source or f"/etc/docker/daemon.json: {NO_FILE}")
        if engine.name in ("containerd", "crio") and facts.kubelet and not ours:
            yield found("engine-without-runtime", engine.source or f"{engine.name}: no configuration file",
                        engine=engine.name)
        gone = [f"{name}: {path}" for name, path in ours if not programs.get(basename(path).partition(".")[0])]
        if gone:
            yield found("runtime-program-missing", *gone, engine=engine.name)
        if engine.cri_disabled:
            yield found("containerd-cri-disabled", f"{engine.source}: disabled_plugins")
        if engine.drop_ins and not any("/conf.d/" in text for text in engine.imports):
            yield found("containerd-drop-in-not-imported", *engine.drop_ins, f"{engine.source}: imports")


def _daemon_reload(facts: Facts) -> Iterator[Finding]:
    """systemd applies the device rules of a container's unit again, and it knows none that a hook added."""
    systemd = [f"{engine.name}: systemd control groups" for engine in facts.engines if engine.systemd_cgroup]
    if not (systemd and facts.systemd and facts.nodes):
        return
    if facts.config.nvidia_container_runtime.mode == "legacy":
        yield found("gpus-lost-on-daemon-reload", *systemd)
    if not facts.char_links:
        yield found("dev-char-links-missing", *systemd, f"/dev/char/195:255: {NO_FILE}")


def _selinux(facts: Facts) -> Iterator[Finding]:
    if facts.selinux_enforcing:
        yield found("selinux-enforcing", "/sys/fs/selinux/enforce: 1")


def _wsl(facts: Facts) -> Iterator[Finding]:
    if not facts.wsl:
        return
    if not facts.dxg:
        yield found("wsl-without-dxg", "/dev/dxg: no such device")
    elif not facts.dxcore:
        yield found("wsl-dxcore-missing", f"/usr/lib/wsl/lib/libdxcore.so: {NO_FILE}")
    elif not facts.dxcore_loads:
        yield found("wsl-dxcore-not-in-ldcache", facts.dxcore)
    elif facts.dxcore_error:
        yield found("wsl-no-adapter", f"{facts.dxcore}: {facts.dxcore_error}")
    shadows = [path for path in facts.library_files if not path.startswith("/usr/lib/wsl/")]
    if shadows:
        yield found("wsl-linux-driver-installed", *shadows)


def _tegra(facts: Facts) -> Iterator[Finding]:
    if not facts.tegra:
        return
    if not facts.csv_files:
        yield found("tegra-without-csv", "/etc/nvidia-container-runtime/host-files-for-container.d/*.csv: none")
    elif facts.csv_missing:
        yield found("tegra-csv-stale", *facts.csv_missing)
    if facts.config.nvidia_container_runtime.mode == "legacy":
        yield found("tegra-in-legacy-mode", f"{facts.config_path}: nvidia-container-runtime.mode = legacy")


SETUP_CHECKS: tuple[Check, ...] = (
    _config, _ldconfig, _programs, _cdi_files, _cdi_versions, _engines, _daemon_reload, _selinux, _wsl, _tegra)
