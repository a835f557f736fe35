"""Shared by every tier: what a test needs of the machine, golden files, hypothesis settings."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

GOLDEN = Path(__file__).parent / "golden"

settings.register_profile("default", deadline=None, max_examples=100, suppress_health_check=list(HealthCheck))
settings.register_profile("fuzz", deadline=None, max_examples=20_000, suppress_health_check=list(HealthCheck))
settings.load_profile("default")

NEEDS: dict[str, Callable[[], object]] = {
    "root": lambda: os.geteuid() == 0,
    "zig": lambda: __import__("importlib.util").util.find_spec("ziglang"),
    "user namespaces": lambda: subprocess.run(["unshare", "-Ur", "true"], check=False,
                                              capture_output=True).returncode == 0,
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write golden files instead of comparing with them")
    parser.addoption("--target", default="emulated", choices=("emulated", "real"),
                     help="where combinations of requests run: on emulated hosts, or on this machine's own GPUs")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out what is for the other target: that is no skip, nothing is missing."""
    chosen = config.getoption("--target")
    other = {item for item in items for mark in item.iter_markers("target") if mark.args[0] != chosen}
    if other:
        config.hook.pytest_deselected(items=list(other))
        items[:] = [item for item in items if item not in other]


def requires(*needs: str) -> None:
    """Ends a test that this machine cannot run: a skip on a laptop, a failure under CI.

    A need is "root", "zig", "user namespaces", or the name of a program."""
    for need in needs:
        check = NEEDS.get(need)
        if not (check() if check else shutil.which(need, path=os.environ["PATH"] + ":/usr/sbin:/sbin")):
            reason = f"needs {need}"
            if os.environ.get("CI"):
                pytest.fail(f"{reason}; under CI a skip is a failure")
            pytest.skip(reason)


@pytest.fixture(name="requires")
def requires_fixture() -> Callable[..., None]:
    """`requires("root", "runc")` as the first line of a test."""
    return requires


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """`golden("cdi/a100x8.yaml", text)` compares a text with a file below tests/golden."""

    def compare(name: str, text: str) -> None:
        path = GOLDEN / name
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        assert path.exists(), f"no golden file {path}: run with --update-golden and review it"
        assert text == path.read_text(), f"differs from {path}"

    return compare
