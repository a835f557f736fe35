"""The device selection language, rule by rule (libnvidia-container 1.20)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.errors import RequestError, ToolkitError
from toolkit.model.native import Gpu, MigDevice
from toolkit.plan.selection import imex_channels, select, select_devices

UUID = "GPU-5fd4f087-86f3-7a43-b711-4771313afc5{}"
MIG = "MIG-aaaaaaaa-0000-0000-0000-00000000000{}"


def gpu(index: int, minor: int, *, migs: int = 0) -> Gpu:
    parts = tuple(
        MigDevice(index=i, uuid=MIG.format(i), gpu_index=index, gpu_minor=minor, gpu_instance=i + 1, compute_instance=0)
        for i in range(migs)
    )
    return Gpu(
        index=index,
        minor=minor,
        uuid=UUID.format(index),
        bus_id=f"00000000:{7 + index:02x}:00.0",
        mig_capable=migs > 0,
        migs=parts,
    )


HOST = (gpu(0, 3), gpu(1, 1, migs=2), gpu(2, 0))


@pytest.mark.parametrize(
    ("text", "indices"),
    [
        ("", []),
        (",,", []),
        ("0", [0]),
        ("2,0", [2, 0]),
        ("0,0,0", [0]),
        ("all", [0, 1, 2]),
        ("2,ALL,junk", [2, 0, 1]),
        (UUID.format(1).lower(), [1]),
        (UUID.format(1).upper(), [1]),
        ("0:8:0", [1]),
        ("0000:08:00.0", [1]),
        ("00000000:08:00.0", [1]),
        ("0x0:8:0junk", [1]),
        (" +1", [1]),
        ("-0", [0]),
    ],
)
def test_a_token_names_a_gpu_by_index_uuid_or_address(text: str, indices: list[int]) -> None:
    assert [g.index for g in select_devices(text, HOST).gpus] == indices


@pytest.mark.parametrize(
    ("text", "token"),
    [
        ("3", "3"),
        ("0,foo", "foo"),
        ("none", "none"),
        ("void", "void"),
        (UUID.format(1)[:12], UUID.format(1)[:12]),
        ("gpu0", "gpu0"),
        ("-1", "-1"),
        ("0.0", "0.0"),
        ("9" * 5000, "9" * 5000),
    ],
)
def test_an_unknown_token_is_named_alone(text: str, token: str) -> None:
    with pytest.raises(RequestError) as e:
        select_devices(text, HOST)
    assert str(e.value) == f"device error: {token}: unknown device"


def test_a_mig_device_brings_its_parent() -> None:
    chosen = select_devices(f"{MIG.format(1)},1:0", HOST)
    assert [g.index for g in chosen.gpus] == [1]
    assert [m.index for m in chosen.migs] == [1, 0]


def test_what_looks_like_an_address_may_be_a_pair_with_trailing_text() -> None:
    assert [m.index for m in select_devices("1:1:7", HOST).migs] == [1]


def test_a_gpu_brings_no_mig_devices_but_all_does() -> None:
    assert select_devices("1", HOST).migs == ()
    assert [m.index for m in select_devices("all", HOST).migs] == [0, 1]


def test_a_host_without_gpus_accepts_anything() -> None:
    assert select_devices("7,junk", ()) == select_devices("", ())


@pytest.mark.parametrize("name", ["mig-config", "mig-monitor"])
def test_rights_are_for_all_or_none(name: str) -> None:
    values = {"mig-config": ("0,all", ""), "mig-monitor": ("", "0,all")}[name]
    with pytest.raises(RequestError) as e:
        select("all", *values, HOST)
    assert str(e.value) == f"{name} error: 0: only 'all' devices are currently supported"


@pytest.mark.parametrize("name", ["mig-config", "mig-monitor"])
def test_rights_do_not_go_with_single_mig_devices(name: str) -> None:
    values = {"mig-config": ("all,0", ""), "mig-monitor": ("", "all,0")}[name]
    with pytest.raises(RequestError) as e:
        select("1:0", *values, HOST)
    assert str(e.value) == f"{name} error: all: cannot enable {name} with specific MIG devices selected"


def test_configuration_covers_the_capable_gpus_and_replaces_the_access_files() -> None:
    chosen = select("all", "all", "", HOST)
    assert [g.index for g in chosen.mig_config] == [1]
    assert chosen.migs and not chosen.mig_access


def test_imex_channels_are_decimal_and_below_2_to_the_20() -> None:
    assert imex_channels("0,,1048575,0") == (0, 1048575, 0)
    for wrong in ("x", "1048576", "-1", "0x5", "5x", "all", "9" * 5000):
        with pytest.raises(RequestError, match="unsupported IMEX channel value"):
            imex_channels(wrong)


@given(st.text(max_size=40), st.text(max_size=10), st.text(max_size=10))
def test_any_text_selects_or_is_refused(devices: str, config: str, monitor: str) -> None:
    try:
        chosen = select(devices, config, monitor, HOST)
    except ToolkitError:
        return
    assert len({g.index for g in chosen.gpus}) == len(chosen.gpus)


@given(st.from_regex(r"[0-9a-fx:.,+\- ]{0,30}", fullmatch=True))
def test_any_number_like_text_selects_or_is_refused(text: str) -> None:
    try:
        select_devices(text, HOST)
        imex_channels(text)
    except ToolkitError:
        pass
