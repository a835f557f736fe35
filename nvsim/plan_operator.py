"""What the GPU Operator leaves on a node: its validation flags, and traces of the driver and toolkit containers.

Paths and the text of `driver-ready`: public manifests and scripts of the operator and its driver container."""

from nvsim.ops import File, Op
from nvsim.profile import Profile

VALIDATIONS = "/run/nvidia/validations"


def files(profile: Profile) -> list[Op]:
    """The flags of a node on which driver, toolkit and device plugin are ready; none before the driver is.

    The driver is the host's own where the driver root is the root, else that of a container."""
    if not (profile.operator and profile.driver and profile.kernel_driver):
        return []
    extras = profile.extras
    flags = {"toolkit": True, "cuda": True, "plugin": True, "nvidia-fs": extras.gds, "gdrcopy": extras.gdrcopy,
             "mofed": extras.mofed}
    ops: list[Op] = [File(path=f"{VALIDATIONS}/{name}-ready", data=b"") for name, there in flags.items() if there]
    ops += [File(path=f"{VALIDATIONS}/driver-ready", data=driver_ready(profile).encode()),
            File(path="/run/nvidia/toolkit/toolkit.pid", data=b"2904\n")]
    if profile.driver_root != "/":
        ops += [File(path=f"{VALIDATIONS}/.driver-ctr-ready", data=b""),
                File(path="/run/nvidia/nvidia-driver.pid", data=b"2210\n")]
    return ops


def driver_ready(profile: Profile) -> str:
    """`driver-ready`, which shells source: where driver and device nodes are, on the host and for the operator's own
    containers."""
    dev_root = profile.dev_root or profile.driver_root
    return "".join(f"{name}={value}\n" for name, value in {
        "IS_HOST_DRIVER": str(profile.driver_root == "/").lower(),
        "NVIDIA_DRIVER_ROOT": profile.driver_root, "DRIVER_ROOT_CTR_PATH": _in_container(profile.driver_root),
        "NVIDIA_DEV_ROOT": dev_root, "DEV_ROOT_CTR_PATH": _in_container(dev_root)}.items())


def _in_container(root: str) -> str:
    return "/host" if root == "/" else "/driver-root"


def firmware_path(profile: Profile) -> str:
    """Where the kernel looks for firmware first: a driver container points it at its own."""
    return f"{profile.driver_root}/lib/firmware" if profile.operator and profile.driver_root != "/" else ""
