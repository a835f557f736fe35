"""The names that belong to the driver for `nvidia-container-cli`, by category.  Source: libnvidia-container 1.20.

A name matches every file name that begins with it.  The order is that of look-up, output and injection.
"""

LIBRARIES: dict[str, tuple[str, ...]] = {
    "utility": ("libnvidia-ml.so", "libnvidia-cfg.so", "libnvidia-nscq.so"),
    "compute": (
        "libcuda.so", "libcudadebugger.so", "libnvidia-opencl.so", "libnvidia-gpucomp.so",
        "libnvidia-ptxjitcompiler.so", "libnvidia-fatbinaryloader.so", "libnvidia-allocator.so",
        "libnvidia-compiler.so", "libnvidia-pkcs11.so", "libnvidia-pkcs11-openssl3.so", "libnvidia-nvvm.so",
        "libnvidia-tileiras.so",
    ),
    "ngx": ("libnvidia-ngx.so",),
    "video": ("libvdpau_nvidia.so", "libnvidia-encode.so", "libnvidia-opticalflow.so", "libnvcuvid.so"),
    "graphics": (
        "libnvidia-eglcore.so", "libnvidia-glcore.so", "libnvidia-tls.so", "libnvidia-glsi.so", "libnvidia-fbc.so",
        "libnvidia-ifr.so", "libnvidia-rtcore.so", "libnvoptix.so",
        "libGLX_nvidia.so", "libEGL_nvidia.so", "libGLESv2_nvidia.so", "libGLESv1_CM_nvidia.so",
        "libnvidia-glvkspirv.so", "libnvidia-cbl.so",
    ),
}
ALL_LIBRARIES = tuple(name for names in LIBRARIES.values() for name in names)

DXCORE = "libdxcore.so"
"""Where Windows is: looked up under WSL 2 alone, and then part of every container, whatever its capabilities."""

# Upstream looks the pre-GLVND names up only with an option that its command line does not offer, yet counts a file of
# such a name among the compatibility libraries as a graphics library.
_OLD_GRAPHICS = ("libGL.so", "libEGL.so", "libGLESv1_CM.so", "libGLESv2.so")

BINARIES: dict[str, tuple[str, ...]] = {
    "utility": ("nvidia-smi", "nvidia-debugdump", "nvidia-persistenced", "nv-fabricmanager"),
    "compute": ("nvidia-cuda-mps-control", "nvidia-cuda-mps-server"),
}
ALL_BINARIES = tuple(name for names in BINARIES.values() for name in names)

PERSISTENCED = "/var/run/nvidia-persistenced/socket"
FABRICMANAGER = "/var/run/nvidia-fabricmanager/socket"


def library_categories(capabilities: tuple[str, ...]) -> frozenset[str]:
    """The library categories that driver capabilities bring: video needs CUDA, and display needs graphics."""
    categories = set(capabilities) & set(LIBRARIES)
    if "video" in capabilities:
        categories.add("compute")
    if "display" in capabilities:
        categories.add("graphics")
    return frozenset(categories)


def is_wanted_library(file_name: str, categories: frozenset[str]) -> bool:
    """Whether a file of this name belongs to one of the categories."""
    if file_name.startswith(DXCORE) or ("graphics" in categories and file_name.startswith(_OLD_GRAPHICS)):
        return True
    return any(file_name.startswith(LIBRARIES[category]) for category in categories)


def is_wanted_binary(file_name: str, capabilities: tuple[str, ...]) -> bool:
    """Whether a program of this name belongs to one of the driver capabilities; video brings none."""
    return any(file_name.startswith(names) for category, names in BINARIES.items() if category in capabilities)
