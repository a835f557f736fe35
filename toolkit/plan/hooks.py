"""CDI hooks as upstream writes them.  Source: toolkit v1.20, internal/discover/hooks.go."""

from posixpath import basename
from typing import NamedTuple

from toolkit.model.edits import Hook

DEFAULT_HOOK = "/usr/bin/nvidia-cdi-hook"
DISABLED = ("chmod",)  # unless asked for: NVIDIA/nvidia-container-toolkit#143
NEED_ARGUMENTS = ("chmod", "create-symlinks")
STAGE = "createContainer"


class Hooks(NamedTuple):
    """Which program to run, and which of its hooks are wanted.

    `disabled` "all" stands for every hook that is not in `enabled`; `enabled` wins over `disabled`.
    """

    path: str = DEFAULT_HOOK
    disabled: tuple[str, ...] = ()
    enabled: tuple[str, ...] = ()

    def hook(self, name: str, *args: str, fixed: tuple[str, ...] = ()) -> tuple[Hook, ...]:
        """One hook, or none if it is disabled or has nothing to do.

        `args` are what it works on, `fixed` goes before them whatever there is.  A hook that needs arguments and is
        enabled by name is made even without.
        """
        enabled = name in self.enabled
        if not enabled and (name in (*DISABLED, *self.disabled) or "all" in self.disabled):
            return ()
        if not args and name in NEED_ARGUMENTS and not enabled:
            return ()
        program = basename(self.path)
        prefix = (program, "hook") if program == "nvidia-ctk" else (program,)
        return (Hook(name=STAGE, path=self.path, args=(*prefix, name, *fixed, *args), env=("NVIDIA_CTK_DEBUG=false",)),)

    def symlinks(self, links: "tuple[tuple[str, str], ...]") -> tuple[Hook, ...]:
        """The hook that makes links: (target, path) each."""
        return self.hook("create-symlinks", *(arg for target, path in links for arg in ("--link", f"{target}::{path}")))

    def folder_permissions(self, folders: tuple[str, ...]) -> tuple[Hook, ...]:
        """The hook that opens folders of devices to other users."""
        return self.hook("chmod", *(arg for path in folders for arg in ("--path", path)), fixed=("--mode", "755"))

    def update_ldcache(self, folders: tuple[str, ...], ldconfig: str = "") -> tuple[Hook, ...]:
        """The hook that runs ldconfig over folders; none without folders (NVIDIA/nvidia-container-toolkit#373)."""
        fixed = ("--ldconfig-path", ldconfig) if ldconfig else ()
        args = (arg for folder in folders for arg in ("--folder", folder))
        return self.hook("update-ldcache", *args, fixed=fixed) if folders else ()

    def cuda_compat(self, host_version: str = "", *, cuda_version: str = "", folder: str = "") -> tuple[Hook, ...]:
        """The hook that prefers the image's CUDA compatibility libraries where they are newer than the driver's.

        The host is known by the version of its driver or of its CUDA; `folder` is where the image has them if not in
        the usual place.
        """
        given = {
            "host-driver-version": "" if "*" in host_version else host_version,
            "host-cuda-version": cuda_version,
            "cuda-compat-container-root": folder,
        }
        return self.hook("enable-cuda-compat", *(f"--{name}={value}" for name, value in given.items() if value))
