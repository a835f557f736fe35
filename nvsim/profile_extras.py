"""What a profile says of software and adapters beside the GPUs: storage, RDMA, MPS."""

from dataclasses import dataclass

from nvsim.document import Keys

MOST_PORTS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Extras:
    """`gds`: GPUDirect Storage, `gdrcopy`: GDRCopy, `mps`: the MPS control daemon runs; `mofed`: RDMA ports."""

    gds: bool = False
    gdrcopy: bool = False
    mofed: int = 0
    mps: bool = False


KEYS = ("gds", "gdrcopy", "mofed", "mps")


def extras(keys: Keys, base: Extras) -> Extras:
    """The values of KEYS, each as in the base where it is not given."""
    return Extras(gds=keys.flag("gds", default=base.gds), gdrcopy=keys.flag("gdrcopy", default=base.gdrcopy),
                  mofed=keys.integer("mofed", base.mofed, 0, MOST_PORTS), mps=keys.flag("mps", default=base.mps))
