"""config.toml: each key, its default, its meaning.  Source: toolkit v1.20, `config default`."""

from typing import NamedTuple

SUPPORTED = "compat32,compute,display,graphics,ngx,utility,video"


class Cli(NamedTuple):
    """[nvidia-container-cli]"""

    root: str = ""
    path: str = ""
    environment: tuple[str, ...] = ()
    debug: str = ""
    ldcache: str = ""
    load_kmods: bool = True
    no_pivot: bool = False
    no_cgroups: bool = False
    user: str = ""
    ldconfig: str = "@/sbin/ldconfig"


class Csv(NamedTuple):
    """[nvidia-container-runtime.modes.csv]"""

    mount_spec_path: str = "/etc/nvidia-container-runtime/host-files-for-container.d"
    compat_container_root: str = ""


class Cdi(NamedTuple):
    """[nvidia-container-runtime.modes.cdi]; `spec_dirs` lowest priority first."""

    spec_dirs: tuple[str, ...] = ("/etc/cdi", "/var/run/cdi")
    default_kind: str = "nvidia.com/gpu"
    annotation_prefixes: tuple[str, ...] = ("cdi.k8s.io/",)


class JitCdi(NamedTuple):
    """[nvidia-container-runtime.modes.jit-cdi]"""

    nvcdi_feature_flags: tuple[str, ...] = ()
    nvcdi_disable_hooks: tuple[str, ...] = ()


class Legacy(NamedTuple):
    """[nvidia-container-runtime.modes.legacy]"""

    cuda_compat_mode: str = "ldconfig"


class Modes(NamedTuple):
    """[nvidia-container-runtime.modes]"""

    csv: Csv = Csv()
    cdi: Cdi = Cdi()
    jit_cdi: JitCdi = JitCdi()
    legacy: Legacy = Legacy()


class Runtime(NamedTuple):
    """[nvidia-container-runtime]"""

    debug: str = "/dev/null"
    log_level: str = "info"
    runtimes: tuple[str, ...] = ("runc", "crun")
    mode: str = "auto"
    modes: Modes = Modes()


class RuntimeHook(NamedTuple):
    """[nvidia-container-runtime-hook]"""

    path: str = "nvidia-container-runtime-hook"
    skip_mode_detection: bool = False


class Ctk(NamedTuple):
    """[nvidia-ctk]"""

    path: str = "nvidia-ctk"


class Features(NamedTuple):
    """[features]: only an explicit true enables."""

    allow_cuda_compat_libs_from_container: bool = False
    allow_ldconfig_from_container: bool = False
    allow_unknown_oci_spec_fields: bool = False
    disable_cuda_compat_lib_hook: bool = False
    disable_imex_channel_creation: bool = False
    ignore_imex_channel_requests: bool = False
    no_additional_gids_for_device_nodes: bool = False


class Config(NamedTuple):
    """config.toml as a whole.  Attribute names are the keys with "-" as "_"."""

    disable_require: bool = False
    swarm_resource: str = ""
    accept_nvidia_visible_devices_envvar_when_unprivileged: bool = True
    accept_nvidia_visible_devices_as_volume_mounts: bool = False
    supported_driver_capabilities: str = SUPPORTED
    nvidia_container_cli: Cli = Cli()
    nvidia_ctk: Ctk = Ctk()
    nvidia_container_runtime: Runtime = Runtime()
    nvidia_container_runtime_hook: RuntimeHook = RuntimeHook()
    features: Features = Features()
