"""NVML's answers → GPUs and MIG devices, with a session that answers from a dict of functions."""

import ctypes
import struct
from collections.abc import Callable
from typing import Any

import pytest

from toolkit.errors import HostError
from toolkit.gather.nvml import FUNCTION_NOT_FOUND, NOT_FOUND, NOT_SUPPORTED, Session, reading_of

TEXTS = {3: "Not Supported", 6: "Not Found", 15: "GPU is lost", 999: "Unknown Error"}
Answer = Callable[..., int]


class Fake(Session):
    """NVML as a dict: a number is a return code, bytes or ints are written through the last arguments."""

    def __init__(self, **answers: Any) -> None:
        super().__init__("fake")
        self.answers = answers

    def call(self, name: str, *args: Any) -> int:
        answer = self.answers.get(name.removeprefix("nvml"), FUNCTION_NOT_FOUND)
        if callable(answer):
            answer = answer(*args)
        if isinstance(answer, int):
            return answer
        outputs = [arg for arg in args if hasattr(arg, "_obj") or isinstance(arg, ctypes.Array)]
        for output, value in zip(outputs, answer, strict=True):
            if isinstance(output, ctypes.Array):
                ctypes.memmove(output, value, min(len(value), ctypes.sizeof(output)))
            else:
                output._obj.value = value
        return 0

    def text(self, code: int) -> str:
        return TEXTS.get(code, f"code {code}")


def text(value: str) -> tuple[bytes]:
    return (value.encode() + b"\0",)


PCI = bytes(36) + b"00000000:1A:00.0\0"


def gpu(**answers: Any) -> Fake:
    """One A100 that says no more than it must; handles are numbers: 1 the GPU, 10 + n its MIG devices."""
    basic = {
        "SystemGetDriverVersion": text("550.54.15"),
        "SystemGetCudaDriverVersion": (12040,),
        "DeviceGetCount_v2": (1,),
        "DeviceGetHandleByIndex_v2": (1,),
        "DeviceGetUUID": lambda handle, *_: text("GPU-1" if handle.value == 1 else f"MIG-{handle.value}"),
        "DeviceGetMinorNumber": (5,),
        "DeviceGetPciInfo_v3": (PCI,),
    }
    return Fake(**{**basic, **answers})


def mig(profile: int, **answers: Any) -> Fake:
    """The GPU in MIG mode with one device at index 2; its GPU instance has the profile of that index, with id 100."""

    def profile_info(_handle: Any, index: int, *_: Any) -> Any:
        return (struct.pack("=10IQ", 100, *[0] * 10),) if index == profile else NOT_SUPPORTED

    basic = {
        "DeviceGetMigMode": (1, 1),
        "DeviceGetMaxMigDeviceCount": (struct.pack("=I", 7),),
        "DeviceGetMigDeviceHandleByIndex": lambda _gpu, index, _out: (12,) if index == 2 else NOT_FOUND,
        "DeviceGetGpuInstanceId": (7,),
        "DeviceGetComputeInstanceId": (0,),
        "DeviceGetAttributes_v2": (struct.pack("=8IQ", *[0] * 9),),
        "DeviceGetGpuInstanceById": (70,),
        "GpuInstanceGetInfo": (struct.pack("=QIIII", 1, 7, 100, 0, 1),),
        "GpuInstanceGetComputeInstanceById": (71,),
        "ComputeInstanceGetInfo_v2": (struct.pack("=QQIIII", 1, 70, 0, 200, 0, 1),),
        "DeviceGetGpuInstanceProfileInfo": profile_info,
        "GpuInstanceGetComputeInstanceProfileInfo": (struct.pack("=9I", 200, *[0] * 8),),
    }
    return gpu(**{**basic, **answers})


def test_a_gpu_of_a_driver_from_before_mig_is_listed() -> None:
    (one,) = reading_of(gpu()).gpus
    assert (one.index, one.uuid, one.minor, one.pci_bus_id) == (0, "GPU-1", 5, "0000:1a:00.0")
    assert not one.mig_capable and one.mig_devices == () and not one.coherent


@pytest.mark.parametrize(
    ("bus_id", "sysfs"),
    [
        ("00000000:1A:00.0", "0000:1a:00.0"),
        ("00000008:06:00.0", "0008:06:00.0"),
        ("0001ABCD:06:00.0", "0001abcd:06:00.0"),
        ("0000:07:00.0", "0000:07:00.0"),
    ],
)
def test_bus_ids_are_those_of_sysfs(bus_id: str, sysfs: str) -> None:
    (one,) = reading_of(gpu(DeviceGetPciInfo_v3=(bytes(36) + bus_id.encode() + b"\0",))).gpus
    assert one.pci_bus_id == sysfs


def test_versions_are_told_or_the_reason_is() -> None:
    reading = reading_of(gpu())
    assert (reading.driver_version, reading.version_error, reading.cuda_version) == ("550.54.15", "", "12.4")
    silent = reading_of(gpu(SystemGetDriverVersion=999, SystemGetCudaDriverVersion=999))
    assert (silent.driver_version, silent.version_error, silent.cuda_version) == ("", "Unknown Error", "")


def test_a_lost_gpu_does_not_hide_the_others() -> None:
    both = gpu(DeviceGetCount_v2=(2,), DeviceGetHandleByIndex_v2=lambda index, _out: (1,) if index else 15)
    lost, fine = reading_of(both).gpus
    assert (lost.index, lost.uuid, lost.error) == (0, "", "GPU is lost")
    assert (fine.index, fine.uuid, fine.error) == (1, "GPU-1", "")


def test_gpus_that_cannot_be_counted_are_an_error() -> None:
    with pytest.raises(HostError, match="error getting device count: Unknown Error"):
        reading_of(gpu(DeviceGetCount_v2=999))


def test_what_only_describes_a_gpu_may_be_missing() -> None:
    described = gpu(DeviceGetName=text("A100"), DeviceGetMemoryInfo=(struct.pack("=QQQ", 40 << 30, 0, 0),))
    (one,) = reading_of(described).gpus
    assert (one.name, one.memory_mib, one.compute_capability, one.brand) == ("A100", 40960, "", "Unknown")


def test_coherent_memory_is_the_addressing_mode_ats() -> None:
    (one,) = reading_of(gpu(DeviceGetAddressingMode=(struct.pack("=II", 0x01000008, 2),))).gpus
    assert one.coherent


@pytest.mark.parametrize(("profile", "gfx"), [(0, False), (4, False), (10, True), (12, True)])
def test_mig_devices_keep_their_index_and_know_whether_they_may_draw(profile: int, gfx: bool) -> None:
    (one,) = reading_of(mig(profile)).gpus
    assert one.mig_enabled and one.mig_capable
    (device,) = one.mig_devices
    assert (device.index, device.uuid, device.gpu_instance, device.compute_instance) == (2, "MIG-12", 7, 0)
    assert (device.gfx, device.profile_error) == (gfx, "")


@pytest.mark.parametrize(
    ("answers", "error"),
    [
        ({"DeviceGetAttributes_v2": 3}, "Not Supported"),
        ({"DeviceGetGpuInstanceProfileInfo": 3}, "no matching profile found"),
        ({"GpuInstanceGetComputeInstanceProfileInfo": 3}, "no matching profile found"),
    ],
)
def test_a_mig_device_without_profile_says_why(answers: dict[str, Any], error: str) -> None:
    ((device,),) = [one.mig_devices for one in reading_of(mig(0, **answers)).gpus]
    assert device.profile_error == error


def test_mig_mode_off_is_capable_and_not_enabled() -> None:
    (one,) = reading_of(mig(0, DeviceGetMigMode=(0, 0), DeviceGetMigDeviceHandleByIndex=NOT_FOUND)).gpus
    assert one.mig_capable and not one.mig_enabled and one.mig_devices == ()
