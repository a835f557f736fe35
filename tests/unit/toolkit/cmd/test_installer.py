"""nvidia-ctk-installer, at the command line, with NVIDIA's packages as they are in the folder of artifacts."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from toolkit.cmd.installer.main import main
from toolkit.model.install import LIBRARIES, PROGRAMS

TOP = Path(__file__).resolve().parents[4]


@pytest.fixture
def files(tmp_path):
    """A folder with artifacts, and the arguments of an installation in it that leaves everything else alone."""
    (tmp_path / "art/usr/bin").mkdir(parents=True)
    (tmp_path / "art/usr/lib64").mkdir()
    for name in PROGRAMS:
        (tmp_path / "art/usr/bin" / name).write_text(f"#!/bin/sh\necho {name} $NVIDIA_CTK_CONFIG_FILE_PATH\n")
        (tmp_path / "art/usr/bin" / name).chmod(0o755)
    for name in LIBRARIES:
        (tmp_path / "art/usr/lib64" / f"{name}.20.0").write_text("library")
        (tmp_path / "art/usr/lib64" / name).symlink_to(f"{name}.20.0")
    return tmp_path


def arguments(files, *more, engine="docker", source="file"):
    config = {"docker": "daemon.json", "containerd": "config.toml", "crio": "crio.conf"}[engine]
    drop_in = () if engine == "docker" else ("--drop-in-config", f"{files}/drop/99-nvidia.toml")
    return ["nvidia-ctk-installer", "--toolkit-install-dir", f"{files}/nv", "--toolkit-source-root", f"{files}/art",
            "--pid-file", f"{files}/toolkit.pid", "--runtime", engine, "--config", f"{files}/{config}", *drop_in,
            "--restart-mode", "none", "--config-source", source, *more]


def tree(folder):
    return sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*"))


def daemon(files, *more, engine="docker"):
    """An installer that waits for its signal."""
    return started(arguments(files, *more, engine=engine), "Waiting for signal")


def started(argv, line):
    """An installer that has said a line."""
    process = subprocess.Popen([sys.executable, "-m", "toolkit.cmd.installer", *argv[1:]], cwd=TOP,
                               stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    for said in process.stderr:
        if line in said:
            return process
    raise AssertionError(f"it ended before it said {line}")


def ended(process, number=signal.SIGTERM):
    process.send_signal(number)
    said = process.stderr.read()
    process.stderr.close()
    return process.wait(), said


def test_the_programs_are_installed_and_docker_knows_them(files, capfd):
    (files / "daemon.json").write_text('{"log-level": "info"}')
    assert main([*arguments(files), "--no-daemon"]) == 0
    folder = files / "nv/toolkit"
    wrapped = [name for name in PROGRAMS if name != "nvidia-cdi-hook"]
    assert tree(folder) == sorted([
        ".config", ".config/nvidia-container-runtime", ".config/nvidia-container-runtime/config.toml",
        "nvidia-container-toolkit", *PROGRAMS, *(f"{name}.real" for name in wrapped),
        *LIBRARIES, *(f"{name}.20.0" for name in LIBRARIES)])
    config = json.loads((files / "daemon.json").read_text())
    assert config["default-runtime"] == "nvidia"
    assert config["runtimes"]["nvidia-legacy"] == {"args": [], "path": f"{folder}/nvidia-container-runtime.legacy"}
    assert config["log-level"] == "info"
    ran = subprocess.run([folder / "nvidia-container-runtime-hook"], capture_output=True, text=True, check=True)
    assert ran.stdout == f"nvidia-container-runtime-hook {folder}/.config/nvidia-container-runtime/config.toml\n"
    out, err = capfd.readouterr()
    assert out == "Using config:\n" + (folder / ".config/nvidia-container-runtime/config.toml").read_text()
    assert err.endswith('msg="Completed nvidia-ctk-installer"\n')
    assert not (files / "toolkit.pid").exists()


def test_installing_again_leaves_nothing_of_the_old_programs(files):
    (files / "nv/toolkit").mkdir(parents=True)
    (files / "nv/toolkit/old").write_text("old")
    assert main([*arguments(files), "--no-daemon"]) == 0
    assert not (files / "nv/toolkit/old").exists()
    assert os.listdir(files / "nv") == ["toolkit"]


# Each failure, and what says so; upstream has removed the old programs by then.
FAILURES = {
    "a library is missing": (("rm", "art/usr/lib64/libnvidia-container.so.1"), (),
                             "unable to install toolkit: could not install toolkit components: failed to collect "
                             "libraries: error locating library: libnvidia-container.so.1: not found"),
    "a program is missing": (("rm", "art/usr/bin/nvidia-cdi-hook"), (),
                             "failed to collect executables: error locating executable: nvidia-cdi-hook: not found"),
    "the configuration is no JSON": (("write", "daemon.json", "{"), (),
                                     "unable to determine runtime options: unable to load docker config: "
                                     "unexpected EOF"),
    "the configuration cannot be written": (("mkdir", "daemon.json"), (), "unable to load docker config: "),
    "the engine's folder is a file": (("write", "x", ""), ("--config", "FILES/x/daemon.json"), "not a directory"),
    "there is no such way to restart": ((), ("--restart-mode", "foo"),
                                        "unable to restart docker: invalid restart mode specified: foo"),
    "there are no devices": ((), ("--cdi-enabled", "--cdi-output-dir", "FILES/cdi", "--dev-root-ctr-path", "FILES/x"),
                             "unable to install toolkit: error creating device nodes: "),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_changes_nothing(files, capfd, name):
    (files / "nv/toolkit").mkdir(parents=True)
    (files / "nv/toolkit/old").write_text("old")
    (files / "daemon.json").write_text("{}")
    step, more, message = FAILURES[name]
    match step:
        case ("rm", path):
            (files / path).unlink()
        case ("write", path, text):
            (files / path).write_text(text)
        case ("mkdir", path):
            (files / path).unlink()
            (files / path).mkdir()
    before = tree(files), (files / "daemon.json").is_file() and (files / "daemon.json").read_text()
    assert main([*arguments(files), "--no-daemon", *(word.replace("FILES", str(files)) for word in more)]) == 1
    err = capfd.readouterr().err
    assert 'level=error msg="error running nvidia-ctk-installer: ' in err and message in err
    assert (tree(files), (files / "daemon.json").is_file() and (files / "daemon.json").read_text()) == before


def test_ignored_errors_are_said(files, capfd):
    (files / "art/usr/bin/nvidia-ctk").unlink()
    assert main([*arguments(files), "--no-daemon", "--ignore-errors"]) == 0
    assert "Ignoring error: failed to collect executables: error locating executable: nvidia-ctk: not found" in (
        capfd.readouterr().err)
    assert not (files / "nv/toolkit/nvidia-ctk").exists() and (files / "nv/toolkit/nvidia-cdi-hook").exists()


WRONG = {
    ("--toolkit-install-dir", ""): "the install root must be specified",
    ("--pid-file", "/x/y"): "invalid toolkit.pid path /x/y",
    ("--enable-nri-plugin",): "the NRI namespace must be specified when the NRI plugin is enabled",
    ("--nri-plugin-index", "100"): "nri-plugin-index must be in the range [0,99]",
    ("--cdi-kind", "foo"): "invalid CDI vendor name: ",
    ("--create-device-nodes", "all"): "invalid --create-device-nodes value: all",
    ("--runtime", "podman"): "expected one of [containerd | crio | docker]",
    ("--runtime", "crio", "--config-mode", "x"): "invalid cri-o config: invalid cri-o config mode: ",
    ("--runtime", "crio", "--config-source", "x"): "unsupported config source ",
    ("--toolkit-source-root", "", "--toolkit-package-type", "zip"): "failed to resolve source root: invalid package "
                                                                    "type: zip",
}


@pytest.mark.parametrize("more", WRONG, ids=" ".join)
def test_wrong_options_are_refused(files, capfd, more):
    assert main([*arguments(files), *more]) == 1
    assert WRONG[more] in capfd.readouterr().err
    assert not (files / "nv").exists()


def test_an_empty_variable_switches_off_what_is_on_by_default(files, monkeypatch):
    monkeypatch.setenv("NVIDIA_RUNTIME_SET_AS_DEFAULT", "")
    monkeypatch.setenv("NO_DAEMON", "true")
    assert main(arguments(files)) == 0
    assert "default-runtime" not in json.loads((files / "daemon.json").read_text())


MINE = """# mine
version = 2
imports = ["/mine/*.toml"] # more
"""


@pytest.mark.parametrize("before", ["", MINE, MINE + '[plugins."io.containerd.grpc.v1.cri"]\nsandbox_image = "x"\n'])
def test_containerds_own_file_is_at_the_end_what_it_was(files, before):
    if before:
        (files / "config.toml").write_text(before)
    process = daemon(files, engine="containerd")
    during = (files / "config.toml").read_text()
    assert f"{files}/drop/*.toml" in during and ("# mine" in during) == bool(before)
    assert "nvidia-container-runtime.cdi" in (files / "drop/99-nvidia.toml").read_text()
    assert (files / "toolkit.pid").read_text() == f"{process.pid}\n"
    code, said = ended(process)
    assert (code, "Completed nvidia-ctk-installer" in said) == (0, True)
    assert ((files / "config.toml").read_text() if (files / "config.toml").exists() else "") == before
    assert not (files / "drop/99-nvidia.toml").exists()
    assert not (files / "toolkit.pid").exists()
    assert (files / "nv/toolkit/nvidia-ctk").exists()


@pytest.mark.parametrize(("before", "after"), [
    ('{"default-runtime":"crun"}\n', '{"default-runtime":"crun"}\n'),
    # dockerd forgets no key that is gone.
    ('{"debug":true}', '{\n    "debug": true,\n    "default-runtime": "runc"\n}'),
])
def test_dockers_own_file_has_its_default_at_the_end(files, before, after):
    (files / "daemon.json").write_text(before)
    process = daemon(files)
    assert json.loads((files / "daemon.json").read_text())["default-runtime"] == "nvidia"
    assert ended(process)[0] == 0
    assert (files / "daemon.json").read_text() == after


def test_a_file_that_changed_meanwhile_loses_the_runtimes_alone(files):
    process = daemon(files)
    config = json.loads((files / "daemon.json").read_text())
    (files / "daemon.json").write_text(json.dumps({**config, "debug": True}))
    assert ended(process, signal.SIGHUP)[0] == 0
    assert json.loads((files / "daemon.json").read_text()) == {"default-runtime": "runc", "debug": True}


def test_a_file_that_an_installer_left_behind_is_cleaned_up(files):
    (files / "daemon.json").write_text('{"debug": true}')
    assert main([*arguments(files), "--no-daemon"]) == 0
    assert ended(daemon(files))[0] == 0
    assert json.loads((files / "daemon.json").read_text()) == {"debug": True, "default-runtime": "runc"}


def test_crio_keeps_the_runtimes_for_the_pods_that_name_them(files):
    process = daemon(files, engine="crio")
    assert 'default_runtime = "nvidia"' in (files / "drop/99-nvidia.toml").read_text()
    assert ended(process)[0] == 0
    after = (files / "drop/99-nvidia.toml").read_text()
    assert "default_runtime" not in after and "[crio.runtime.runtimes.nvidia-cdi]" in after


def test_crios_hook_goes_with_the_installer(files):
    process = daemon(files, "--config-mode", "hook", "--hooks-dir", f"{files}/hooks", "--restart-mode", "signal",
                     engine="crio")  # nobody has to restart it
    hook = json.loads((files / "hooks/oci-nvidia-hook.json").read_text())
    assert hook["hook"]["path"] == f"{files}/nv/toolkit/nvidia-container-runtime-hook"
    assert ended(process)[0] == 0
    assert os.listdir(files / "hooks") == []


def test_a_second_installer_leaves_the_first_one_alone(files, capfd):
    process = daemon(files)
    try:
        assert main(arguments(files)) == 1
        assert "unable to initialize: unable to get flock on pidfile: resource temporarily unavailable" in (
            capfd.readouterr().err)
        assert (files / "toolkit.pid").read_text() == f"{process.pid}\n"
    finally:
        assert ended(process)[0] == 0


def test_a_signal_during_the_set_up_ends_it_at_once(files):
    """The engine cannot be reached, and the next attempt is seconds away."""
    process = started(arguments(files, "--restart-mode", "signal", "--socket", f"{files}/none"), "attempt 1/6")
    code, said = ended(process)
    assert (code, "Signal received, exiting early" in said, "attempt" in said) == (0, True, False)
    assert not (files / "toolkit.pid").exists()


def engine_program(path, text):
    path.write_text(f"#!/bin/sh\ncat <<'END'\n{text}END\n")
    path.chmod(0o755)


def test_the_chosen_containerd_is_asked_for_its_configuration(files, monkeypatch, capfd):
    """Two containerds, docker's on PATH and the kubelet's elsewhere: toolkit#982."""
    (files / "bin").mkdir()
    runc = 'version = 2\n[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]\nBinaryName = "%s"\n'
    engine_program(files / "bin/containerd", runc % "/docker/runc")
    engine_program(files / "k3s-containerd", runc % "/k3s/runc")
    monkeypatch.setenv("PATH", f"{files}/bin:{os.environ['PATH']}")
    for more, found in ((("--executable-path", f"{files}/k3s-containerd"), "/k3s/runc"), ((), "/docker/runc")):
        assert main([*arguments(files, engine="containerd", source="command,file"), "--no-daemon", "--host-root", "",
                     *more]) == 0
        assert f'runtimes = ["{found}", "runc", "crun"]' in capfd.readouterr().out


def test_without_containerd_its_file_counts(files, capfd):
    """RKE2, K3s and MicroK8s have no containerd on PATH: gpu-operator#1109."""
    (files / "config.toml").write_text('version = 2\n[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]\n'
                                       'options = {BinaryName = "/k3s/runc"}\n')
    assert main([*arguments(files, engine="containerd", source="command,file"), "--no-daemon", "--host-root",
                 "/nonexistent"]) == 0
    assert 'runtimes = ["/k3s/runc", "runc", "crun"]' in capfd.readouterr().out


def test_a_generated_configuration_is_warned_of(files, capfd):
    """K3s and RKE2 write theirs anew at each start: gpu-operator#473."""
    (files / "config.toml").write_text("# File generated by k3s. DO NOT EDIT. Use config.toml.tmpl instead.\n"
                                       "version = 2\n")
    assert main([*arguments(files, engine="containerd"), "--no-daemon"]) == 0
    assert "config.toml is generated" in capfd.readouterr().err


def test_our_own_programs_run_from_the_folder(files, monkeypatch):
    python = os.path.realpath(sys.executable)
    assert main(["nvidia-ctk-installer", "--toolkit-install-dir", f"{files}/nv", "--pid-file", f"{files}/toolkit.pid",
                 "--no-runtime-config", "--no-daemon", "--python", python]) == 0
    folder = files / "nv/toolkit"
    assert str(folder / "python") in (folder / "nvidia-ctk.real").read_text()
    ran = subprocess.run([folder / "nvidia-ctk", "--version"], capture_output=True, text=True, check=True)
    assert ran.stdout.startswith("NVIDIA Container Toolkit CLI version ")
    config = folder / ".config/nvidia-container-runtime/config.toml"
    listed = subprocess.run([folder / "nvidia-ctk", "config", "--config-file", config], capture_output=True, text=True,
                            check=True)
    assert f'path = "{folder}/nvidia-container-cli"' in listed.stdout


def test_a_host_without_the_interpreter_is_refused(files, capfd):
    assert main(["nvidia-ctk-installer", "--toolkit-install-dir", f"{files}/nv", "--pid-file", f"{files}/toolkit.pid",
                 "--no-runtime-config", "--no-daemon", "--python", "/no/python3"]) == 1
    assert "the host has no /no/python3" in capfd.readouterr().err
    assert not (files / "nv").exists()
