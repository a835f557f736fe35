"""The launchers: a few lines that start without site."""

import os
import subprocess
import sys

import pytest

from toolkit import launchers


def run(path, *args, **env):
    return subprocess.run(
        [path, *args], capture_output=True, text=True, check=False, env={"PATH": "/usr/bin:/bin", **env}
    )


def test_every_program_gets_an_executable_launcher(tmp_path):
    paths = launchers.install(str(tmp_path / "bin"))
    assert sorted(os.path.basename(path) for path in paths) == sorted(launchers.PROGRAMS)
    assert sorted(os.listdir(tmp_path / "bin")) == sorted(launchers.PROGRAMS)
    assert all(os.access(path, os.X_OK) and len(open(path).readlines()) < 10 for path in paths)


def test_installing_again_changes_nothing(tmp_path):
    launchers.install(str(tmp_path))
    before = {name: (tmp_path / name).read_text() for name in os.listdir(tmp_path)}
    launchers.install(str(tmp_path))
    assert {name: (tmp_path / name).read_text() for name in os.listdir(tmp_path)} == before


def test_a_launcher_ignores_the_users_python_environment(tmp_path):
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib/toolkit.py").write_text("raise SystemExit('hijacked')")
    launchers.install(str(tmp_path))
    done = run(f"{tmp_path}/nvidia-container-runtime-hook", "-version", PYTHONPATH=str(tmp_path / "lib"))
    assert done.returncode == 0
    assert done.stdout.startswith("NVIDIA Container Runtime Hook version ")


def test_modules_beside_toolkit_do_not_shadow_the_standard_library(tmp_path):
    site = tmp_path / "site-packages"
    site.mkdir()
    (site / "toolkit").symlink_to(os.path.dirname(launchers.__file__))
    (site / "json.py").write_text("raise SystemExit('shadowed')")
    launchers.install(str(tmp_path / "bin"))
    script = (tmp_path / "bin/nvidia-container-runtime-hook").read_text()
    home = os.path.dirname(os.path.dirname(os.path.realpath(launchers.__file__)))
    (tmp_path / "bin/moved").write_text(script.replace(repr(home), repr(str(site))))
    (tmp_path / "bin/moved").chmod(0o755)
    done = subprocess.run([tmp_path / "bin/moved", "prestart"], input="{", capture_output=True, text=True, check=False)
    assert done.stderr.startswith("could not decode container state: unexpected EOF")


@pytest.mark.parametrize("folder", ["with space", "x" * 130, "quo'te"])
def test_an_interpreter_that_a_shebang_cannot_name_is_started_by_the_shell(tmp_path, folder):
    home = tmp_path / folder
    home.mkdir()
    (home / "python3").write_text(f'#!/bin/sh\nexec {os.path.realpath(sys.executable)} "$@"\n')
    (home / "python3").chmod(0o755)
    launchers.install(str(tmp_path / "bin"), python=str(home / "python3"))
    done = run(f"{tmp_path}/bin/nvidia-container-runtime-hook", "-version")
    assert (done.returncode, done.stderr) == (0, "")


def test_the_command_line_installs_and_explains_itself(tmp_path, capsys):
    assert launchers.main(["launchers", str(tmp_path / "bin")]) == 0
    assert str(tmp_path / "bin/nvidia-ctk") in capsys.readouterr().out
    assert launchers.main(["launchers", "--help"]) == 0
    assert "nvidia-container-runtime" in capsys.readouterr().out
    assert launchers.main(["launchers"]) == 2
    assert "expected one folder" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    assert launchers.main(["launchers", str(tmp_path / "file")]) == 1
    assert "file exists" in capsys.readouterr().err


def test_every_console_script_names_a_function_that_exists():
    import tomllib
    from pathlib import Path

    project = tomllib.loads((Path(launchers.__file__).parent.parent / "pyproject.toml").read_text())
    scripts = {name: target for name, target in project["project"]["scripts"].items() if target.startswith("toolkit.")}
    assert sorted(scripts) == sorted(launchers.PROGRAMS)
    for target in scripts.values():
        assert callable(getattr(launchers, target.partition(":")[2]))
