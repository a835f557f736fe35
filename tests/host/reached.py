"""Where a distribution's programs find the driver: what tests give to the programs that they run on a machine."""

import os

from nvsim import catalogue
from nvsim.profile import Profile


def bindir(root: str, wanted: Profile) -> str:
    """The folder of nvidia-smi on PATH: where the distribution has it, unless a link in /usr/bin leads there."""
    in_place = os.path.lexists(f"{root}/usr/bin/nvidia-smi")
    return "/usr/bin" if in_place else catalogue.layout(wanted.layout, arch=wanted.arch).path("<bindir>", wanted.driver)


def environment(root: str, wanted: Profile) -> dict[str, str]:
    """The environment of programs on the machine; it says where the libraries are if the loader does not know them."""
    layout = catalogue.layout(wanted.layout, arch=wanted.arch)
    env = {**os.environ, "PATH": f"{os.environ['PATH']}:{bindir(root, wanted)}"}
    env.pop("LD_LIBRARY_PATH", None)
    if not layout.loader_knows("<libdir>"):
        env["LD_LIBRARY_PATH"] = layout.path("<libdir>", wanted.driver)
    return env


def search_options(wanted: Profile) -> list[str]:
    """What tells `nvidia-ctk cdi generate` where the libraries are, if the loader does not know them."""
    layout = catalogue.layout(wanted.layout, arch=wanted.arch)
    known = layout.loader_knows("<libdir>")
    return [] if known else [f"--library-search-path={layout.path('<libdir>', wanted.driver)}"]
