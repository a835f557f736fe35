"""The variants of libnvidia-ml.so and libcuda.so: one per driver branch whose exports differ from those before it."""

import re

# 535.43 stands for the first releases of branch 535, up to 535.86; NEWEST for all branches from there on.
VARIANTS = ("470", "515", "520", "525", "530", "535.43", "535", "545", "550", "555", "560", "570", "575", "580", "590",
            "595", "610", "615")
NEWEST = VARIANTS[-1]
# By driver branch, with the CUDA version that it brought: 1000 * major + 10 * minor.
CUDA_VERSIONS = {470: 11040, 495: 11050, 510: 11060, 515: 11070, 525: 12000, 530: 12010, 535: 12020, 545: 12030,
                 550: 12040, 555: 12050, 560: 12060, 570: 12080, 575: 12090, 580: 13000, 590: 13010, 595: 13020,
                 610: 13040, 615: 13050}
CUDA_VARIANTS = tuple(map(str, CUDA_VERSIONS))
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


def cuda_variant_of(version: str) -> str:
    """The variant of libcuda.so for a driver version; for one that is older than all, the oldest."""
    branch = int(version.split(".")[0])
    return str(max((known for known in CUDA_VERSIONS if known <= branch), default=470))


def cuda_library(variant: str) -> str:
    """The compiled part of a variant of libcuda.so."""
    return "libcuda.so" if variant == CUDA_VARIANTS[-1] else f"libcuda-{variant}.so"


def part_for(part: str, version: str) -> str:
    """The variant of a compiled part for a driver version; the part itself if it has none."""
    if part == "libnvidia-ml.so":
        return library(variant_of(version))
    return cuda_library(cuda_variant_of(version)) if part == "libcuda.so" else part


def branch_of(variant: str) -> tuple[int, bool]:
    """The driver branch of a variant, and whether it is that of its first releases."""
    branch, _, early = variant.partition(".")
    return int(branch), bool(early)
