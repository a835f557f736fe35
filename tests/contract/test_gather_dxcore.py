"""toolkit.gather.dxcore asks libdxcore.so of WSL 2 machines that were built in place."""

import pytest

from nvsim import build, profile
from toolkit.errors import HostError
from toolkit.gather.dxcore import read_adapters

STORES = "/usr/lib/wsl/drivers"


@pytest.fixture
def dxcore(tmp_path):
    """`dxcore(name)` is libdxcore.so of a machine."""

    def make(name):
        root = str(tmp_path / name)
        build.build(profile.load(name), root, nodes=False, dev_root=root)
        return f"{root}/usr/lib/wsl/lib/libdxcore.so"

    return make


def test_every_adapter_has_its_driver_store_whoever_made_it(dxcore):
    adapters = read_adapters(dxcore("wsl2-rtx4060-hybrid"))
    assert [(adapter.store, adapter.wddm) for adapter in adapters] == [
        (f"{STORES}/iigd_dch.inf_amd64_73655f941b1dd71f", 3100),
        (f"{STORES}/nvlti.inf_amd64_9a2c79b60d6607c6", 3100),
    ]
    assert len({adapter.luid for adapter in adapters}) == 2


def test_a_machine_without_an_adapter_of_nvidia_names_those_of_others(dxcore):
    assert not any("nv" in adapter.store for adapter in read_adapters(dxcore("wsl2-no-nvidia")))


def test_a_library_that_is_not_there_or_no_dxcore_is_an_error():
    with pytest.raises(HostError, match="failed to load libdxcore.so"):
        read_adapters("/nowhere/libdxcore.so")
    with pytest.raises(HostError, match="symbols D3DKMTEnumAdapters2 and D3DKMTEnumAdapters3 are missing"):
        read_adapters("libm.so.6")
