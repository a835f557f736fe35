"""The process that talks to NVML: what its failures look like."""

import os
import signal
import time

import pytest

from toolkit.errors import HostError
from toolkit.gather.legacy_nvml import read_nvml


def error_of(**options: object) -> str:
    with pytest.raises(HostError) as e:
        read_nvml(**options)  # type: ignore[arg-type]
    return str(e.value)


def test_a_missing_library_is_named() -> None:
    assert error_of(library="libnosuch-ml.so.1") == (
        "initialization error: load library failed: libnosuch-ml.so.1: cannot open shared object file: "
        "no such file or directory"
    )


def test_a_library_that_is_none_is_named(tmp_path: pytest.TempPathFactory) -> None:
    path = f"{tmp_path}/libnvidia-ml.so.1"
    open(path, "w").close()
    assert error_of(library=path) == f"initialization error: load library failed: {path}: file too short"


def test_a_library_without_the_symbols_is_no_nvml() -> None:
    assert error_of(library="libc.so.6") == "initialization error: nvml error: function not found"


def test_a_hang_ends_after_the_timeout_and_leaves_no_process() -> None:
    started = time.monotonic()
    assert error_of(enter=lambda: time.sleep(60), timeout=0.2) == "initialization error: driver rpc error: timed out"
    assert time.monotonic() - started < 5
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_a_death_is_reported() -> None:
    assert error_of(enter=lambda: os.kill(os.getpid(), signal.SIGKILL)) == (
        "initialization error: driver rpc error: failed to process request"
    )


def test_what_entering_refuses_is_the_error() -> None:
    def enter() -> None:
        raise HostError("change root failed: no such file or directory")

    assert error_of(enter=enter) == "initialization error: change root failed: no such file or directory"
