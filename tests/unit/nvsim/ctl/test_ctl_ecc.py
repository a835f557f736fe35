"""Memory errors and throttling without an Xid; NVLinks."""

import pytest

from nvsim import board
from nvsim.ctl import targets, verbs
from nvsim.errors import NvsimError

A100, T4, GEFORCE = "A100-SXM4-40GB", "T4", "RTX-4060-Ti-8GB"


@pytest.mark.parametrize(("words", "changes", "event"), [
    ("uncorrected dram", {"ecc_volatile_uncorrected_dram": 1, "ecc_aggregate_uncorrected_dram": 1}, 2),
    ("corrected sram", {"ecc_volatile_corrected_sram": 1, "ecc_aggregate_corrected_sram": 1}, 1),
    ("corrected dram count=3", {"ecc_volatile_corrected_dram": 3, "ecc_aggregate_corrected_dram": 3}, 1),
    ("corrected dram scope=volatile", {"ecc_volatile_corrected_dram": 1, "ecc_aggregate_corrected_dram": 0}, 1),
    ("uncorrected sram scope=aggregate", {"ecc_volatile_uncorrected_sram": 0, "ecc_aggregate_uncorrected_sram": 1}, 2)])
def test_errors_are_counted_where_they_happened_and_are_events(host, words, changes, event):
    one = host(A100)
    one.ctl(f"ecc gpu=0 {words}")
    assert one.values(*changes) == tuple(changes.values())
    assert set(one.gpu().event_type[:one.gpu().event_count]) == {event}


def test_a_row_that_is_remapped_comes_out_of_a_bank_with_all_spares(host):
    one = host(A100)
    banks = one.gpu().remap_banks_max
    one.ctl("ecc gpu=0 corrected dram repair=pending")
    assert one.values("remapped_correctable", "remapped_pending", "remap_banks_max", "remap_banks_high") == (
        1, 1, banks - 1, 1)
    one.ctl("ecc gpu=0 uncorrected dram repair=failed")
    assert one.gpu().remapped_failure == 1


def test_pages_are_listed_with_their_time_single_bit_ones_first(host):
    one = host(T4)
    for kind in ("uncorrected", "corrected"):
        one.ctl(f"ecc gpu=0 {kind} dram repair=pending")
    single, double = one.gpu().retired_time[:2]
    assert single >= double > 0
    assert one.values("retired_pages_sbe", "retired_pages_dbe", "retired_pages_pending") == (1, 1, 1)


def test_clearing_takes_the_scope_that_is_named(host):
    one = host(A100)
    one.ctl("ecc gpu=0 uncorrected dram count=5")
    one.ctl("ecc gpu=0 clear scope=volatile")
    assert one.values("ecc_volatile_uncorrected_dram", "ecc_aggregate_uncorrected_dram") == (0, 5)
    one.ctl("ecc gpu=0 clear")
    assert one.gpu().ecc_aggregate_uncorrected_dram == 0


@pytest.mark.parametrize(("model", "line", "said"), [
    (GEFORCE, "ecc gpu=0 corrected dram", "needs ECC, which is absent"), (GEFORCE, "ecc gpu=0 clear", "is absent"),
    (A100, "ecc gpu=0 corrected", "expected corrected or uncorrected"), (A100, "ecc gpu=0 broken dram", "'broken'"),
    (A100, "ecc gpu=0 corrected dram count=0", "expected 1 to"), (A100, "ecc gpu=0 corrected l3", "'l3'"),
    (T4, "throttle gpu=0", "expected reason="), (T4, "throttle gpu=0 reason=hot", "'hot'"),
    (T4, "throttle gpu=0 reason=thermal off", "expected reason="), (T4, "nvlink gpu=0 errors=1", "no NVLinks"),
    (A100, "nvlink gpu=0 link=1 errors=1 kind=crc", "'crc'"), (A100, "nvlink gpu=0", "expected up, down"),
    (A100, "nvlink gpu=0 up kind=replay", "expected up, down")])
def test_what_a_board_does_not_have_or_nobody_knows_changes_nothing(host, model, line, said):
    one = host(model)
    before = one.gpu()
    with pytest.raises(NvsimError, match=said):
        one.ctl(line)
    assert one.gpu() == before


def test_ecc_that_is_off_counts_nothing(host):
    one = host(A100)
    one.ctl("set gpu=0 ecc_mode=0")
    with pytest.raises(NvsimError, match="which is off"):
        one.ctl("ecc gpu=0 corrected dram")


@pytest.mark.parametrize(("reason", "bits", "changes"), [
    ("thermal", 0x20, {"temperature": 85}), ("hw-thermal", 0x48, {"temperature": 89}),
    ("power", 0x4, {"power_usage": 400_000}), ("hw-slowdown", 0x8, {}), ("power-brake", 0x88, {})])
def test_a_throttled_gpu_says_why_and_its_clocks_follow(host, reason, bits, changes):
    one = host(A100)
    before = one.gpu()
    one.ctl(f"throttle gpu=0 reason={reason}")
    now = one.gpu()
    assert (now.clocks_event_reasons, now.pstate) == (bits, 0)
    assert before.clock_sm < now.clock_sm < now.clock_max_sm
    assert one.values(*changes) == tuple(changes.values())
    assert one.ctl("throttle gpu=0 off") == ["GPU 0 (0000:01:00.0): as before"]
    assert one.gpu() == before


def test_a_reason_that_the_board_does_not_know_is_refused(host):
    one = host(A100)
    board.edit(targets.boards(one.root)[0], 0, lambda gpu: {"clocks_event_reasons_supported": 0x1FF & ~0x20})
    with pytest.raises(NvsimError, match="never throttled"):
        one.ctl("throttle gpu=0 reason=thermal")


def test_errors_of_a_link_are_counted_by_kind(host):
    one = host(A100)
    one.ctl("nvlink gpu=0 link=3 errors=5 kind=replay")
    one.ctl("nvlink gpu=0 link=3 errors=2")
    counters = one.gpu().nvlink_errors
    assert (counters[15:20], sum(counters)) == ((5, 0, 2, 0, 0), 7)


def test_every_example_of_a_time_is_understood():
    assert [verbs.parse(["load", "steady", f"at={text}"]).second for text in ("90", "90s", "1.5m", "2h")] == [
        90, 90, 90, 7200]
