"""The variants of libnvidia-ml.so: one per driver branch that exports other functions than the branch before."""

import re

# 535.43 stands for the first releases of branch 535, up to 535.86; NEWEST for all branches from there on.
VARIANTS = ("470", "515", "520", "525", "530", "535.43", "535", "545", "550", "555", "560", "570", "575", "580", "590",
            "595", "610", "615")
NEWEST = VARIANTS[-1]
LAST_EARLY_535 = 86


def variant_of(version: str) -> str:
    """The variant for a driver version such as 550.54.15; for one that is older than all, the oldest."""
    branch, release = map(int, re.findall(r"\d+", version)[:2])
    if branch == 535 and release <= LAST_EARLY_535:
        return "535.43"
    return next((v for v in reversed(VARIANTS) if "." not in v and int(v) <= branch), VARIANTS[0])


def library(variant: str) -> str:
    """The compiled part of a variant, for nvsim.native.compile."""
    return "libnvidia-ml.so" if variant == NEWEST else f"libnvidia-ml-{variant}.so"


def branch_of(variant: str) -> tuple[int, bool]:
    """The driver branch of a variant, and whether it is that of its first releases."""
    branch, _, early = variant.partition(".")
    return int(branch), bool(early)
