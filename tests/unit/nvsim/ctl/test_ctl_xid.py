"""What each Xid does to a GPU."""

import os

import pytest

from nvsim import board, xids
from nvsim.ctl import targets
from nvsim.errors import NvsimError

A100, T4 = "A100-SXM4-40GB", "T4"


def events(gpu):
    """The events so far, the oldest first: type and data."""
    first = max(0, gpu.event_count - 16)
    return [(gpu.event_type[n % 16], gpu.event_data[n % 16]) for n in range(first, gpu.event_count)]


def with_processes(host, *pids):
    for path in targets.boards(host.root):
        board.edit(path, len(board.read(path).gpus) - 1, lambda gpu: {
            "process_pid": pids, "process_memory": [1 << 30] * len(pids), "process_name": ["python"] * len(pids),
            "memory_used": len(pids) << 30})
    return host


@pytest.mark.parametrize("code", sorted(xids.xids()))
def test_every_xid_is_an_event_of_its_number(host, code):
    one = host(A100)
    one.ctl("nvlink gpu=0 up")
    one.ctl(f"xid gpu=0 {code}")
    assert events(one.gpu())[-1] == (8, code)


def test_79_takes_the_gpu_off_the_bus_and_leaves_others_alone(host):
    two = with_processes(host(A100, A100), 7)
    two.ctl("xid gpu=0 79")
    assert two.values("fault", "process_pid") == (15, (0,) * 32)
    assert (two.gpu(1).fault, two.gpu(1).event_count) == (0, 0)


def test_a_lost_gpu_reads_as_ones_in_pci_configuration_until_it_recovers(host):
    one = host(A100)
    config = f"{one.root}/sys/bus/pci/devices/0000:01:00.0/config"
    os.makedirs(os.path.dirname(config))
    with open(config, "wb") as f:
        f.write(b"\xde\x10" * 32)
    os.chmod(config, 0o444)
    one.ctl("xid gpu=0 79")
    assert open(config, "rb").read() == b"\xff" * 64
    one.ctl("recover gpu=0")
    assert (open(config, "rb").read(), os.stat(config).st_mode & 0o777) == (b"\xde\x10" * 32, 0o444)


@pytest.mark.parametrize(("model", "waits"), [
    (A100, {"remapped_pending": 1, "remapped_uncorrectable": 1, "retired_pages_pending": None}),
    (T4, {"retired_pages_pending": 1, "retired_pages_dbe": 1, "remapped_pending": None})])
def test_48_counts_a_double_bit_error_and_its_row_or_page_waits_for_a_reset(host, model, waits):
    one = host(model)
    one.ctl("xid gpu=0 48")
    assert one.values("ecc_volatile_uncorrected_dram", "ecc_aggregate_uncorrected_dram") == (1, 1)
    assert events(one.gpu()) == [(2, 0), (8, 48)]
    assert one.values(*waits) == tuple(waits.values())
    one.ctl("reset gpu=0")
    pending = "remapped_pending" if model == A100 else "retired_pages_pending"
    assert one.values("ecc_volatile_uncorrected_dram", "ecc_aggregate_uncorrected_dram", pending) == (0, 1, 0)


@pytest.mark.parametrize(("code", "changes"), [
    (63, {"remapped_pending": 1}), (64, {"remapped_failure": 1}), (92, {"ecc_volatile_corrected_dram": 1024}),
    (94, {"ecc_volatile_uncorrected_dram": 1, "remapped_pending": 1}), (61, {"fault": 16}), (62, {"fault": 16}),
    (95, {"ecc_aggregate_uncorrected_dram": 1, "process_pid": (0,) * 32}), (119, {"fault": 16}), (120, {"fault": 16}),
    (140, {"ecc_volatile_uncorrected_sram": 1})])
def test_an_error_of_the_hardware_shows_in_health(host, code, changes):
    one = with_processes(host(A100), 7)
    one.ctl(f"xid gpu=0 {code}")
    assert one.values(*changes) == tuple(changes.values())


@pytest.mark.parametrize("code", [13, 31, 43, 45, 68, 69, 109])
def test_an_error_of_an_application_ends_it_and_harms_nothing_else(host, code):
    one = with_processes(host(A100), 7, 8)
    one.ctl(f"xid gpu=0 {code} pid=7")
    gpu = one.gpu()
    assert (gpu.fault, gpu.process_pid[:2], gpu.memory_used) == (0, (8, 0), 1 << 30)
    assert [gpu.ecc_volatile_uncorrected_dram, gpu.remapped_pending] == [0, 0]


def test_74_takes_down_the_link_that_is_named_or_the_first(host):
    one = host(A100)
    one.ctl("nvlink gpu=0 up")
    one.ctl("xid gpu=0 74 link=3")
    one.ctl("xid gpu=0 74")
    assert one.gpu().nvlink_active == (1 << 12) - 1 - (1 << 3) - 1


def test_an_event_of_a_mig_device_names_its_instances(host):
    one = host(A100)
    one.ctl("xid gpu=0 13 gi=3 ci=0")
    one.ctl("xid gpu=0 13")
    assert one.gpu().event_gpu_instance[:2] == (3, 0xFFFFFFFF)
    assert one.gpu().event_compute_instance[:2] == (0, 0xFFFFFFFF)


@pytest.mark.parametrize(("line", "log"), [
    ("xid gpu=0 79", "NVRM: Xid (PCI:0000:01:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus."),
    ("xid gpu=0 43 pid=7", "NVRM: Xid (PCI:0000:01:00): 43, pid=7, name=python, Ch 00000008"),
    ("xid gpu=0 8 pid=9 name=train.py", "NVRM: Xid (PCI:0000:01:00): 8, pid=9, name=train.py, GPU stopped processing"),
    ("xid gpu=0 74 link=5", "fatal error detected on link 5(0x10000, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0)")])
def test_the_kernel_log_has_the_line_of_the_driver(host, line, log):
    one = with_processes(host(A100), 7)
    said = one.ctl(line)
    with open(f"{one.root}/.nvsim/kernel.log") as f:
        assert f.read() == said[-1] + "\n"
    assert said[-1].endswith(log)


@pytest.mark.parametrize(("code", "text", "action"), [
    (79, "0x0 (None) to 0x2 (Node Reboot Required)", 2), (94, "0x0 (None) to 0x4 (Drain and Reset)", 4),
    (119, "0x0 (None) to 0x1 (GPU Reset Required)", 1)])
def test_drivers_from_570_on_report_a_changed_recovery_action_as_xid_154(host, code, text, action):
    one = host(A100, driver="570.153.02")
    said = one.ctl(f"xid gpu=0 {code}")
    assert events(one.gpu())[-2:] == [(8, code), (8, 154)]
    assert said[-1].endswith(f"NVRM: Xid (PCI:0000:01:00): 154, GPU recovery action changed from {text}")
    assert one.gpu().recovery_action == action


def test_a_recovery_action_that_stays_is_not_reported_again(host):
    one = host(A100, driver="570.153.02")
    one.ctl("xid gpu=0 94")
    assert len(one.ctl("xid gpu=0 94")) == 2
    assert [data for _, data in events(one.gpu())].count(154) == 1


@pytest.mark.parametrize(("model", "line", "said"), [
    ("RTX-4060-Ti-8GB", "xid gpu=0 48", "needs ECC"), (T4, "xid gpu=0 74", "no NVLinks"),
    (A100, "xid gpu=0 74 link=12", "no NVLink 12"), (T4, "nvlink gpu=0 down", "no NVLinks")])
def test_an_error_that_the_gpu_cannot_have_changes_nothing(host, model, line, said):
    one = host(model)
    before = one.gpu()
    with pytest.raises(NvsimError, match=said):
        one.ctl(line)
    assert one.gpu() == before
    assert not os.path.exists(f"{one.root}/.nvsim/kernel.log")


def test_a_lost_gpu_is_not_reset_but_recovers(host):
    one = host(A100)
    one.ctl("lose gpu=0")
    with pytest.raises(NvsimError, match="cannot be reset") as caught:
        one.ctl("reset gpu=0")
    with pytest.raises(NvsimError, match="is lost"):
        one.ctl("xid gpu=0 13")
    assert (one.gpu().fault, caught.value.hint) == (15, "nvsim ctl recover")
    one.ctl("recover gpu=0")
    assert one.gpu().fault == 0


def test_a_reset_puts_pending_modes_in_force(host):
    one = host(A100)
    one.ctl("set gpu=0 ecc_pending=0 mig_pending=1")
    one.ctl("xid gpu=0 119")
    one.ctl("reset gpu=0")
    assert one.values("fault", "ecc_mode", "mig_mode") == (0, 0, 1)
