"""`nvsim exec` and `nvsim build` as an author of NVML programs types them: what is said, and what runs where."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.host
NVSIM = [sys.executable, "-m", "nvsim"]
# A root user in a user namespace that may have no mount namespaces: as in a container without privileges.
CONFINED = ["unshare", "--user", "--map-root-user", "sh", "-c",
            'echo 0 > /proc/sys/user/max_mnt_namespaces && exec "$@"', "sh"]


def run(*words: str, before: list[str] | None = None, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([*(before or []), *NVSIM, *words], capture_output=True, text=True, check=False, cwd=cwd)


def test_another_driver_than_the_profiles_can_be_named() -> None:
    done = run("exec", "--driver", "470.256.02", "t4x1", "--", "cat", "/proc/driver/nvidia/version")
    assert "470.256.02" in done.stdout, done.stderr
    done = run("exec", "--driver", "470", "t4x1", "--", "true")
    assert done.returncode == 1
    assert "'470' is not a driver version" in done.stderr


def test_a_profile_of_ones_own_may_get_another_driver(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("driver: 550.54.15\ngpus: [{model: L4, count: 2}]\n")
    done = run("exec", "--driver", "535.261.03", "./mine.yaml", "--", "nvidia-smi", cwd=tmp_path)
    assert "535.261.03" in done.stdout, done.stderr


def test_where_no_host_can_be_entered_exec_says_what_to_do_and_in_place_works(requires: object) -> None:
    requires("unshare")  # type: ignore[operator]
    done = run("exec", "t4x1", "--", "nvidia-smi", "-L", before=CONFINED)
    assert done.returncode == 125
    assert "cannot make namespaces: " in done.stderr
    assert "hint: entering a host needs CAP_SYS_ADMIN" in done.stderr
    assert "nvsim exec --in-place" in done.stderr
    done = run("exec", "--in-place", "t4x1", "--", "nvidia-smi", "-L", before=CONFINED)
    assert (done.returncode, done.stdout.count("Tesla T4")) == (0, 1), done.stderr


def test_in_place_exit_codes_and_signals_are_those_of_the_program() -> None:
    codes = [run("exec", "--in-place", "t4x1", "--", "sh", "-c", script).returncode
             for script in ("exit 7", "kill -TERM $$")]
    assert codes == [7, 128 + 15]
    done = run("exec", "--in-place", "no-driver", "--", "/no/such/program")
    assert (done.returncode, done.stderr) == (127, "nvsim: cannot run /no/such/program: No such file or directory\n")


def test_in_place_the_rest_of_the_machine_is_the_real_one(tmp_path: Path) -> None:
    done = run("exec", "--in-place", "t4x1", "--", "sh", "-c", "echo $PPID; touch here; command -v nvidia-smi",
               cwd=tmp_path)
    assert done.stdout.splitlines()[1].endswith("/root/usr/bin/nvidia-smi")
    assert os.path.exists(tmp_path / "here")
    assert not os.path.exists(done.stdout.splitlines()[1]), "the host ended with the program"


def test_build_says_how_the_tree_is_used(tmp_path: Path) -> None:
    done = run("build", "t4x1", "host", cwd=tmp_path)
    assert "run programs on it: nvsim exec host -- CMD…" in done.stderr
    done = run("build", "--in-place", "--driver", "535.261.03", "t4x1", "other", cwd=tmp_path)
    assert done.stdout.endswith("t4x1, 1 GPUs, driver 535.261.03\n")
    assert f"use it: LD_LIBRARY_PATH={tmp_path}/other/usr/lib/x86_64-linux-gnu CMD…" in done.stderr


def test_a_built_tree_takes_no_flags_that_would_change_it(tmp_path: Path) -> None:
    run("build", "t4x1", "host", cwd=tmp_path)
    for flags in (["--in-place"], ["--driver", "535.261.03"]):
        done = run("exec", *flags, "./host", "--", "true", cwd=tmp_path)
        assert done.returncode == 1
        assert "give --in-place and --driver to nvsim build" in done.stderr


@pytest.mark.parametrize("command", ["exec", "build", "shell"])
def test_help_names_every_flag_and_fits_a_terminal(command: str) -> None:
    done = run(command, "--help")
    assert {"--in-place", "--driver"} <= set(done.stdout.split())
    assert max(map(len, done.stdout.splitlines())) <= 120
