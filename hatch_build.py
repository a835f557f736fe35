"""Compiles nvsim/native with ziglang when the package is built, and puts the results into the wheel."""

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class NativeBuildHook(BuildHookInterface):
    """One pinned cross-compiler from the package index: the same bytes on every build machine."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        sys.path.insert(0, self.root)
        from nvsim.native.compile import compile_all

        for path in compile_all():
            build_data["artifacts"].append(str(Path(path).relative_to(self.root)))
