import dataclasses
import os
import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvsim import board
from nvsim.board_gpu import COPIES
from nvsim.errors import NvsimError
from nvsim.models import board_gpu
from nvsim.native.compile import compile_all

UUID = "GPU-00000000-0000-0000-0000-{:012x}"


def gpu(index, **changes):
    made = board_gpu("T4", index=index, minor=index, uuid=UUID.format(index), bus_id=f"0000:{index + 1:02x}:00.0")
    return dataclasses.replace(made, **changes)


def host(count=2, **changes):
    return board.Board(driver_version="550.54.15", cuda_version="12.4", gpus=tuple(map(gpu, range(count))), **changes)


@pytest.fixture
def library(tmp_path):
    path = str(tmp_path / "libnvidia-ml.so.550.54.15")
    shutil.copy(compile_all("libnvidia-ml.so")[0], path)
    return path


def test_a_library_carries_the_host_that_was_written(library):
    board.write(library, host(dev_root="/some/where"))
    assert board.read(library) == host(dev_root="/some/where", kernel_version="550.54.15",
                                       nvml_version="12.550.54.15")


def test_a_fresh_library_carries_no_gpu_and_no_driver(library):
    found = board.read(library)
    assert (found.gpus, found.driver_loaded) == ((), False)


def test_64_gpus_fit_and_65_do_not(library):
    board.write(library, host(64))
    assert len(board.read(library).gpus) == 64
    with pytest.raises(NvsimError, match="65 GPUs"):
        board.write(library, host(65))


def test_an_update_changes_one_gpu_and_nothing_else(library):
    board.write(library, host())
    board.update(library, 1, temperature=85, memory_used=1 << 33, fan_speed=None)
    first, second = board.read(library).gpus
    assert first == gpu(0)
    assert second == gpu(1, temperature=85, memory_used=1 << 33)


def test_a_writer_that_was_killed_left_the_old_values_and_the_next_one_sets_all_of_the_new(library):
    board.write(library, host(1))
    board.update(library, 0, temperature=1)
    with board._opened(library) as (fd, start):
        os.pwrite(fd, b"\xff" * board.RECORD.size, start + board.HEADER.size + COPIES)
    assert board.read(library).gpus == (gpu(0, temperature=1),)
    board.update(library, 0, pstate=2)
    assert board.read(library).gpus == (gpu(0, temperature=1, pstate=2),)


def test_an_update_keeps_the_size_and_inode_of_the_library(library):
    board.write(library, host())
    before = os.stat(library)
    board.update(library, 0, temperature=50)
    after = os.stat(library)
    assert (before.st_size, before.st_ino) == (after.st_size, after.st_ino)


@pytest.mark.parametrize(("changes", "said"), [
    ({"name": "x"}, "cannot be changed"), ({"nope": 1}, "cannot be changed"), ({"temperature": 2**40}, "does not fit"),
    ({"pstate": -1}, "does not fit"), ({"fabric_cluster": "x" * 99}, "fewer than 40 bytes")])
def test_a_value_that_cannot_be_changed_or_does_not_fit_leaves_the_board_alone(library, changes, said):
    board.write(library, host())
    with pytest.raises(NvsimError, match=said):
        board.update(library, 0, **changes)
    assert board.read(library).gpus == host().gpus


def test_a_gpu_that_the_host_does_not_have_is_named(library):
    board.write(library, host())
    with pytest.raises(NvsimError, match="no GPU 2: the host has 2"):
        board.update(library, 2, temperature=1)


def test_events_fill_a_ring_and_the_oldest_are_overwritten(library):
    board.write(library, host(1))
    for number in range(18):
        board.push_event(library, 0, 8, number)
    found = board.read(library).gpus[0]
    assert (found.event_count, found.event_data[:3]) == (18, (16, 17, 2))


def test_an_unloaded_driver_shows_in_the_header(library):
    board.write(library, host())
    board.update_header(library, driver_loaded=0, kernel_version="535.1")
    assert (board.read(library).driver_loaded, board.read(library).kernel_version) == (False, "535.1")


def test_a_cuda_version_without_a_dot_is_refused(library):
    with pytest.raises(NvsimError, match="expected a CUDA version"):
        board.write(library, dataclasses.replace(host(), cuda_version="12"))


def test_another_format_of_the_board_is_refused(library):
    with board._opened(library) as (fd, start):
        os.pwrite(fd, b"\xff", start + board.HEADER.slot("format").offset)
    with pytest.raises(NvsimError, match="another format"):
        board.read(library)


@given(data=st.binary(max_size=200), cut=st.integers(min_value=0, max_value=64))
def test_any_bytes_instead_of_a_library_give_an_error_that_names_the_file(tmp_path_factory, data, cut):
    path = tmp_path_factory.getbasetemp() / "any.so"
    with open(compile_all("libnvidia-ml.so")[0], "rb") as f:
        path.write_bytes(f.read(cut) + data)
    with pytest.raises(NvsimError) as caught:
        board.read(str(path))
    assert caught.value.source == str(path)


def test_a_missing_library_is_an_error_that_names_it():
    with pytest.raises(NvsimError, match="No such file"):
        board.update("/nowhere/libnvidia-ml.so", 0, temperature=1)


def test_a_list_of_texts_is_filled_up_with_empty_ones(library):
    board.write(library, host(1))
    board.write(library, board.Board(driver_version="550.54.15", cuda_version="12.4",
                                     gpus=(gpu(0, process_pid=(7, 9), process_name=("python3", "ollama")),)))
    found = board.read(library).gpus[0]
    assert found.process_name[:3] == ("python3", "ollama", "") and len(found.process_name) == len(found.process_pid)


@pytest.mark.parametrize("names", [("x" * 64,), ("a",) * 33])
def test_texts_that_do_not_fit_are_refused(library, names):
    with pytest.raises(NvsimError, match="64 bytes|32 fit"):
        board.write(library, board.Board(driver_version="550.54.15", cuda_version="12.4",
                                         gpus=(gpu(0, process_name=names),)))


def test_a_library_that_follows_another_one_has_its_gpus_and_its_own_dev(library, tmp_path):
    other = shutil.copy(library, tmp_path / "other")
    board.write(library, host(dev_root="/"))
    board.follow(other, library, dev_root="/elsewhere")
    assert board.read(other) == dataclasses.replace(board.read(library), dev_root="/elsewhere")
    board.update(library, 1, temperature=77)
    board.update_header(library, driver_loaded=0)
    board.follow(other, library, dev_root="/elsewhere")
    assert board.read(other) == dataclasses.replace(board.read(library), dev_root="/elsewhere")
    assert board.read(other).gpus[1].temperature == 77


def test_a_gpu_that_did_not_change_is_not_written_again(library, tmp_path):
    board.write(library, host())
    other = shutil.copy(library, tmp_path / "other")
    board.update(library, 1, temperature=77)
    board.follow(other, library, dev_root="/")

    def generations():
        with board._opened(other, write=False) as (fd, start):
            return [board._record(fd, start + board.HEADER.size + i * board.SLOT_SIZE)[0] for i in range(2)]

    assert generations() == [0, 1]
