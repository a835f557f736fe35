"""The pytest fixture `gpu_host`, for tests of NVML programs; docs/for-nvml-authors.md shows how.

pytest imports this at its start in every project that has the package installed, so it imports nothing of its own
before a test asks for a host.
"""

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

if TYPE_CHECKING:
    from nvsim.gpu_host import GpuHost

MARKER = ("gpu_host(profile, ..., **changes): emulated hosts for the fixture gpu_host: the test runs once on each; "
          "changes are keys of a profile, such as driver='535.261.03'")


class GpuHosts:
    """What the fixture `gpu_host` is: a function that starts emulated hosts, which end with the test.

    `gpu_host("a100x8")` starts one from a profile's name, a YAML file or a mapping; keyword arguments are those of
    nvsim.gpu_host.GpuHost.  `gpu_host()` starts the one that the marker or the parametrisation names.  A host that
    cannot be started fails the test with the reason.
    """

    def __init__(self, stack: contextlib.ExitStack, chosen: str | Mapping[str, Any] | None,
                 changes: Mapping[str, Any]) -> None:
        self._stack, self._chosen, self._changes = stack, chosen, changes

    def __call__(self, profile: str | Mapping[str, Any] | None = None, /, **changes: Any) -> "GpuHost":
        """Starts a host.  It ends with the test, or before with `with gpu_host(…) as host:`."""
        wanted = self._chosen if profile is None else profile
        if wanted is None:
            pytest.fail('gpu_host() needs a profile: gpu_host("a100x8"), or @pytest.mark.gpu_host("a100x8")',
                        pytrace=False)
        if sys.platform != "linux":
            _cannot(f"gpu_host: emulated hosts need Linux, this is {sys.platform}")
        from nvsim.errors import NvsimError
        from nvsim.gpu_host import GpuHost
        from nvsim.native.compile import ARCHITECTURES

        here = os.uname().machine
        if here not in ARCHITECTURES:
            _cannot(f"gpu_host: emulated hosts need a machine of {', '.join(ARCHITECTURES)}, this is {here}")
        try:
            return self._stack.enter_context(GpuHost(wanted, **(self._changes if profile is None else {}), **changes))
        except NvsimError as e:
            reason = f"gpu_host: {e}" + (f"\n  hint: {e.hint}" if e.hint else "")
        pytest.fail(reason, pytrace=False)


def _cannot(reason: str) -> NoReturn:
    """Ends a test that this machine cannot run: a skip, but a failure under CI, where nobody looks at skips."""
    if os.environ.get("CI"):
        pytest.fail(f"{reason}; under CI that is a failure", pytrace=False)
    pytest.skip(reason)


def pytest_configure(config: pytest.Config) -> None:
    """Makes the marker known, for --strict-markers and --markers."""
    config.addinivalue_line("markers", MARKER)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Runs a marked test once on each profile that the marker names."""
    marker = metafunc.definition.get_closest_marker("gpu_host")
    if marker and marker.args and "gpu_host" in metafunc.fixturenames:
        metafunc.parametrize("gpu_host", marker.args, indirect=True,
                             ids=[arg if isinstance(arg, str) else f"host{i}" for i, arg in enumerate(marker.args)])


@pytest.fixture
def gpu_host(request: pytest.FixtureRequest) -> Iterator[GpuHosts]:
    """Emulated GPU hosts: `host = gpu_host("a100x8"); host.run(["nvidia-smi", "-L"])`."""
    marker = request.node.get_closest_marker("gpu_host")
    with contextlib.ExitStack() as stack:
        yield GpuHosts(stack, getattr(request, "param", None), marker.kwargs if marker else {})
