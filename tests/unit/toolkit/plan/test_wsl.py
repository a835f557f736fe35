"""Mode wsl of the generator.  Expectations: reference, toolkit 06 §9."""

import pytest

from toolkit.errors import HostError
from toolkit.model.edits import Hook, Mount
from toolkit.model.host import CharDevice, File, Host, Wsl
from toolkit.plan.driver_files import OPTIONS
from toolkit.plan.generate import Options, plan_spec

STORE = "/usr/lib/wsl/drivers/nv_dispi.inf_amd64_0123456789abcdef"
DXG = CharDevice(path="/dev/dxg", host_path="/dev/dxg", major=10, minor=63, mode=0o666)


def file(path: str) -> File:
    return File(host_path=path, path=path)


HOST = Host(
    platform="wsl",
    devices=(DXG,),
    wsl=Wsl(
        dxcore=(file("/usr/lib/wsl/lib/libdxcore.so"),),
        store=(file(f"{STORE}/libcuda.so.1.1"), file(f"{STORE}/nvcubins.bin"), file(f"{STORE}/nvidia-smi")),
        more=(file(f"{STORE}/nvcuda64.dll"),),
    ),
)


def test_the_one_device_is_dxg_whatever_is_asked_for() -> None:
    spec, notes = plan_spec(HOST, mode="auto", ids=("0", "GPU-x"))
    assert [(device.name, [n.path for n in device.edits.device_nodes]) for device in spec.devices] == [
        ("all", ["/dev/dxg"])]
    assert notes == ()


def test_the_driver_store_is_mounted_where_it_is_and_nvidia_smi_gets_a_link() -> None:
    spec, _ = plan_spec(HOST, mode="wsl", options=Options(ldconfig_path="/sbin/ldconfig.real"))
    assert spec.edits.mounts == tuple(Mount(host_path=path, container_path=path, options=OPTIONS) for path in (
        "/usr/lib/wsl/lib/libdxcore.so",
        *(f"{STORE}/{name}" for name in ("libcuda.so.1.1", "nvcubins.bin", "nvcuda64.dll", "nvidia-smi"))))
    assert [hook.args[1:] for hook in spec.edits.hooks] == [
        ("create-symlinks", "--link", f"{STORE}/nvidia-smi::/usr/bin/nvidia-smi"),
        ("update-ldcache", "--ldconfig-path", "/sbin/ldconfig.real", "--folder", STORE, "--folder", "/usr/lib/wsl/lib"),
    ]
    assert all(isinstance(hook, Hook) for hook in spec.edits.hooks)
    assert spec.edits.env == ("NVIDIA_VISIBLE_DEVICES=void",)


def test_a_store_without_nvidia_smi_is_a_note() -> None:
    wsl = HOST.wsl._replace(store=HOST.wsl.store[:1])
    spec, notes = plan_spec(HOST._replace(wsl=wsl), mode="wsl")
    assert [hook.args[1] for hook in spec.edits.hooks] == ["update-ldcache"]
    assert notes == (f"Failed to find nvidia-smi in mounts: [{STORE}/libcuda.so.1.1]",)


def test_without_a_driver_store_there_is_no_specification() -> None:
    with pytest.raises(HostError) as caught:
        plan_spec(HOST._replace(wsl=Wsl(error="no driver store paths found")), mode="wsl")
    assert caught.value.message == (
        "failed to create edits common for entities: failed to create discoverer for WSL driver: "
        "no driver store paths found")
