"""The fixture and the marker gpu_host, in the tests of somebody else's project."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

pytest_plugins = "pytester"
pytestmark = pytest.mark.host
REPOSITORY = Path(__file__).parents[2]
PLUGIN = ("-p", "nvsim.pytest_plugin", "-p", "no:cacheprovider", "--strict-markers")


def test_pytest_finds_the_plugin_by_its_entry_point() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    # The name equals the module's, so that `-p nvsim.pytest_plugin` and the entry point are one plugin.
    assert project["entry-points"]["pytest11"] == {"nvsim.pytest_plugin": "nvsim.pytest_plugin"}


def test_the_plugin_costs_a_project_that_does_not_use_it_nothing() -> None:
    program = ("import sys, pytest; before = set(sys.modules); import nvsim.pytest_plugin; "
               "print(sorted(set(sys.modules) - before))")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "['nvsim', 'nvsim.pytest_plugin']\n"


def test_a_test_runs_programs_on_the_host_it_asks_for(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        def test_smi(gpu_host):
            host = gpu_host("a100x8")
            assert host.entered
            assert host.run(["nvidia-smi", "-L"]).stdout.count("A100") == len(host.gpus) == 8
            assert "550.54.15" in host.run(["cat", "/proc/driver/nvidia/version"]).stdout
            host.set(gpu=2, temperature=91)
            assert " 91C" in host.run(["nvidia-smi"]).stdout
    """)
    pytester.runpytest_subprocess(*PLUGIN).assert_outcomes(passed=1)


def test_a_marker_runs_a_test_on_each_profile_with_its_changes(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import pytest

        @pytest.mark.gpu_host("a30x2", "t4x1", driver="535.261.03")
        def test_marked(gpu_host):
            host = gpu_host()
            print(host)
            assert host.driver == "535.261.03"

        @pytest.mark.parametrize("gpu_host", ["l4x1", {"driver": "550.54.15", "gpus": [{"model": "T4", "count": 2}]}],
                                 indirect=True)
        def test_parametrized(gpu_host):
            assert "2" in str(len(gpu_host().gpus)) or gpu_host().profile == "l4x1"
    """)
    done = pytester.runpytest_subprocess(*PLUGIN, "-v", "-rP")
    done.assert_outcomes(passed=4)
    done.stdout.fnmatch_lines(["*test_marked?a30x2? PASSED*", "*test_marked?t4x1? PASSED*", "<GpuHost a30x2, 2 GPUs*",
                               "<GpuHost t4x1, 1 GPUs*"])


def test_mistakes_fail_the_test_with_what_to_do(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        def test_unknown(gpu_host):
            gpu_host("a100x9")

        def test_nothing(gpu_host):
            gpu_host()

        def test_bad_change(gpu_host):
            gpu_host("t4x1", gpu="none")
    """)
    done = pytester.runpytest_subprocess(*PLUGIN)
    done.assert_outcomes(failed=3)
    done.stdout.fnmatch_lines(["gpu_host: profile: unknown profile 'a100x9'", "  hint: did you mean 'a100x8'?*",
                               "gpu_host() needs a profile: *", "gpu_host: profile t4x1: unknown key 'gpu'",
                               "  hint: did you mean 'gpus'?"])
    done.stdout.no_fnmatch_line("*Traceback*")


def test_hosts_of_failed_tests_are_gone(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    pytester.makepyfile("""
        import subprocess

        def test_fails(gpu_host):
            host = gpu_host("t4x1")
            host.popen(["sleep", "300"])
            assert False, host.root

        def test_hangs(gpu_host):
            gpu_host("t4x1").run(["sleep", "300"], timeout=0.2)
    """)
    state = str(pytester.mkdir("state"))
    monkeypatch.setenv("NVSIM_STATE", state)
    done = pytester.runpytest_subprocess(*PLUGIN)
    done.assert_outcomes(failed=2)
    assert [name for name in os.listdir(state) if name != ".gate"] == []
    with open("/proc/self/mountinfo") as f:
        assert state not in f.read()


def test_every_worker_of_xdist_has_hosts_of_its_own(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import pytest

        @pytest.mark.parametrize("celsius", range(40, 46))
        @pytest.mark.gpu_host("t4x1")
        def test_alone(gpu_host, celsius):
            host = gpu_host()
            host.set(temperature=celsius)
            for _ in range(3):
                assert f"{celsius}C" in host.run(["nvidia-smi"]).stdout
    """)
    pytester.runpytest_subprocess(*PLUGIN, "-n", "2").assert_outcomes(passed=6)


# As an ordinary user whose kernel allows no mount namespaces: in a user namespace that may have none.
NO_NAMESPACES = "echo 0 > /proc/sys/user/max_mnt_namespaces && exec \"$@\""


def test_where_no_host_can_be_entered_programs_run_in_place_with_a_warning(pytester: pytest.Pytester,
                                                                           requires: object) -> None:
    requires("unshare")  # type: ignore[operator]
    pytester.makepyfile("""
        import pytest
        from nvsim.errors import NvsimError

        def test_smi(gpu_host):
            host = gpu_host("t4x4")
            assert not host.entered
            assert host.run(["nvidia-smi", "-L"]).stdout.count("T4") == 4

        def test_must_enter(gpu_host):
            gpu_host("t4x4", entered=True).run(["true"])
    """)
    done = pytester.run("unshare", "--user", "--map-root-user", "sh", "-c", NO_NAMESPACES, "sh", sys.executable, "-m",
                        "pytest", *PLUGIN)
    done.assert_outcomes(passed=1, failed=1, warnings=1)
    done.stdout.fnmatch_lines(["*cannot make namespaces*", "*RunsInPlace: t4x4: programs run in place*"])


def test_an_ordinary_user_enters_hosts_where_the_kernel_allows(pytester: pytest.Pytester, requires: object,
                                                               monkeypatch: pytest.MonkeyPatch) -> None:
    requires("unshare")  # type: ignore[operator]
    pytester.makepyfile("""
        import os

        def test_smi(gpu_host):
            host = gpu_host("t4x4")
            assert os.geteuid() == 1000
            assert host.entered
            assert host.run(["nvidia-smi", "-L"]).stdout.count("T4") == 4
            assert host.run(["cat", "/sys/module/nvidia/version"]).stdout == f"{host.driver}\\n"
    """)
    monkeypatch.setenv("NVSIM_STATE", str(pytester.mkdir("state")))
    # In this user namespace user 1000 owns what the caller owns, and has no privilege.
    done = pytester.run("unshare", "--user", "--map-user=1000", "--map-group=1000", sys.executable, "-m", "pytest",
                        *PLUGIN)
    done.assert_outcomes(passed=1)
