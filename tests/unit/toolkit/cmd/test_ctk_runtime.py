"""nvidia-ctk runtime configure, at the command line."""

import json
import os
import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.cmd.ctk.main import main

CRI = "io.containerd.grpc.v1.cri"
# Source: reference of nvidia-ctk v1.20.0, the files for a containerd without a configuration.
DROP_IN = """version = 2

[plugins]

  [plugins."io.containerd.grpc.v1.cri"]

    [plugins."io.containerd.grpc.v1.cri".containerd]

      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes]

        [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.nvidia]
          privileged_without_host_devices = false
          runtime_engine = ""
          runtime_root = ""
          runtime_type = "io.containerd.runc.v2"

          [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.nvidia.options]
            BinaryName = "/usr/bin/nvidia-container-runtime"
"""
CRIO = """
[crio]

  [crio.runtime]
    default_runtime = "nvidia"

    [crio.runtime.runtimes]

      [crio.runtime.runtimes.nvidia]
        runtime_path = "/usr/bin/nvidia-container-runtime"
        runtime_type = "oci"
"""
DOCKER = """{
    "runtimes": {
        "nvidia": {
            "args": [],
            "path": "nvidia-container-runtime"
        }
    }
}"""
MINE = """# mine
version = 2 # the version

#root = "/x"
[plugins]
  # cri
  [plugins."io.containerd.grpc.v1.cri"]
    sandbox_image = "x"
    [plugins."io.containerd.grpc.v1.cri".containerd]
      snapshotter = "overlayfs"
[timeouts]
  a = "1s"
# end
"""


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    for name in list(os.environ):
        if name.startswith("NVIDIA_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Run:
    def __init__(self, place, capfd):
        self.place, self._capfd = place, capfd

    def __call__(self, engine, *args, **files):
        """Exit code, output, and the log without times, of `runtime configure` in a folder with these files."""
        for name, text in files.items():
            (self.place / name).write_text(text)
        code = main(["nvidia-ctk", "runtime", "configure", "--runtime", engine, "--config", "config", *args])
        out, err = self._capfd.readouterr()
        return code, out, [line.partition(" ")[2] for line in err.splitlines()]

    @property
    def files(self):
        return {os.path.relpath(path, self.place): path.read_text() for path in self.place.rglob("*") if path.is_file()}


@pytest.fixture
def run(place, capfd):
    return Run(place, capfd)


@pytest.fixture
def in_d(place):
    return ("--drop-in-config", f"{place}/d/99.toml")


def test_docker_gets_a_file(run):
    assert run("docker") == (0, "", [
        'level=info msg="Config file does not exist; using empty config"',
        'level=info msg="Wrote updated config to config"',
        'level=info msg="It is recommended that docker daemon be restarted."'])
    assert run.files == {"config": DOCKER}


def test_a_dry_run_shows_the_file_and_writes_none(run):
    assert run("docker", "--dry-run") == (0, DOCKER + "\n", [
        'level=info msg="Config file does not exist; using empty config"'])
    assert run.files == {}


def test_containerd_gets_a_drop_in_and_an_import(run, in_d, place):
    code, _, log = run("containerd", *in_d)
    assert code == 0 and log == [
        'level=info msg="Using config version 2"',
        f'level=info msg="Using CRI runtime plugin name \\"{CRI}\\""',
        'level=warning msg="Could not infer options from runtimes [runc crun]"',
        f'level=info msg="Wrote updated config to {place}/d/99.toml"',
        'level=info msg="It is recommended that containerd daemon be restarted."']
    assert run.files == {"d/99.toml": DROP_IN, "config": f'imports = ["{place}/d/*.toml"]\nversion = 2\n'}


def test_a_second_run_changes_nothing(run, in_d):
    for engine in ("containerd", "crio"):
        run(engine, *in_d, config=MINE)
        before = run.files
        assert run(engine, *in_d)[0] == 0
        assert run.files == before


def test_the_file_of_the_user_gains_one_line(run, in_d, place):
    assert run("containerd", *in_d, "--set-as-default", config=MINE)[0] == 0
    added = [line for line in run.files["config"].splitlines() if line not in MINE.splitlines()]
    assert added == [f'imports = ["{place}/d/*.toml"]']
    assert [line for line in MINE.splitlines() if line not in run.files["config"].splitlines()] == []
    section = tomllib.loads(run.files["d/99.toml"])["plugins"][CRI]
    assert section["sandbox_image"] == "x" and section["containerd"]["default_runtime_name"] == "nvidia"


def test_without_a_drop_in_the_runtime_goes_into_the_users_file(run):
    assert run("containerd", "--drop-in-config", "", "--cdi.enabled", config=MINE)[0] == 0
    assert [line for line in MINE.splitlines() if line not in run.files["config"].splitlines()] == []
    section = tomllib.loads(run.files["config"])["plugins"][CRI]
    assert section["enable_cdi"] is True and "nvidia" in section["containerd"]["runtimes"]
    assert list(run.files) == ["config"]


def test_version_1_has_no_drop_ins_so_the_users_file_changes(run):
    assert run("containerd", config="a = 1 # a\n")[0] == 0
    assert run.files["config"].startswith("a = 1 # a\n") and list(run.files) == ["config"]
    document = tomllib.loads(run.files["config"])
    assert document["version"] == 1 and "nvidia" in document["plugins"]["cri"]["containerd"]["runtimes"]


def test_crio_gets_a_drop_in_alone(run, in_d):
    assert run("crio", *in_d, "--set-as-default", "--cdi.enabled", config="[crio]\nx = 1\n") == (0, "", [
        'level=warning msg="Ignoring cdi.enabled flag for crio"',
        'level=warning msg="Could not infer options from runtimes [runc crun]"',
        f'level=info msg="Wrote updated config to {in_d[1]}"',
        'level=info msg="It is recommended that crio daemon be restarted."'])
    assert run.files == {"config": "[crio]\nx = 1\n", "d/99.toml": CRIO}


def test_crio_without_a_drop_in_keeps_the_users_file(run):
    run("crio", "--drop-in-config", "", config="[crio]\nx = 1 # x\n")
    assert run.files["config"].startswith("[crio]\nx = 1 # x\n")
    assert "nvidia" in tomllib.loads(run.files["config"])["crio"]["runtime"]["runtimes"]


@pytest.mark.parametrize(("engine", "script", "version"), [
    ("containerd", "[ \"$*\" = 'config dump' ] && echo 'version = 3'", "io.containerd.cri.v1.runtime"),
    ("crio", "[ \"$*\" = 'status config' ] && printf '[crio.runtime.runtimes.crun]\\nq = 1\\n'", "q = 1"),
])
def test_the_engine_is_asked_for_its_configuration(run, in_d, place, engine, script, version):
    (place / "engine").write_text(f"#!/bin/sh\n{script}\n")
    (place / "engine").chmod(0o755)
    args = ("--config-source", "command", "--executable-path", f"{place}/engine")
    assert run(engine, *in_d, *args)[0] == 0
    assert version in run.files["d/99.toml"]


@pytest.mark.parametrize(("engine", "args", "error"), [
    ("foo", (), "unrecognized runtime 'foo'"),
    ("docker", ("--drop-in-config", "/x"), "runtime docker does not support drop-in configs"),
    ("crio", ("--runtime-path", "x"), 'the NVIDIA runtime path "x" is not an absolute path'),
    ("crio", ("--drop-in-config", "x"), 'the drop-in-config path "x" is not an absolute path'),
    ("docker", ("--config-source", "foo"), "unrecognized Config Source: foo"),
    ("docker", ("--config-mode", "hook", "--nvidia-runtime-hook-path", "x"),
     'the NVIDIA runtime hook path "x" is not an absolute path'),
    ("docker", ("--config", "/proc"),
     "unable to load config for runtime docker: unable to read config: read /proc: is a directory"),
    ("containerd", ("--config-source", "command", "--executable-path", "/bin/false"),
     "unable to load config for runtime containerd: failed to load config: failed to run command /bin/false "
     "[config dump]: exit status 1"),
    ("crio", ("--config-source", "command", "--executable-path", "/none"),
     "unable to load config for runtime crio: failed to run command /none [status config]: fork/exec /none: no such "
     'file or directory\nfailed to run command crio-status [config]: exec: "crio-status": executable file not found in '
     "$PATH"),
    ("docker", ("--config", "/proc/none/x"),
     "unable to flush config: unable to create directory /proc/none: mkdir /proc/none: no such file or directory"),
])
def test_what_cannot_be_done_is_said_in_upstreams_words(run, engine, args, error):
    code, out, log = run(engine, *args)
    assert (code, out) == (1, "")
    shown = error.replace("\n", "\\n").replace('"', '\\"')
    assert f'level=error msg="{shown}"' in log
    assert run.files == {}


@pytest.mark.parametrize(("engine", "text", "error"), [
    ("docker", "", "EOF"), ("docker", "[]", "json: cannot unmarshal array into Go value of type docker.Config"),
    ("docker", '{"a":1,}', "invalid character '}' looking for beginning of object key string"),
    ("docker", '{"runtimes": 5}', "runtimes is not a table"),
    ("containerd", "version = ", "failed to load config: (1, "),
    ("containerd", 'version = "x"', "failed to parse config version: unsupported type for version field: x"),
    ("containerd", "version = 2\nplugins = 3\n", "plugins is not a table"),
    ("crio", "[crio", "(1, "),
])
def test_a_file_that_cannot_be_read_is_left_alone(run, engine, text, error):
    code, _, log = run(engine, config=text)
    assert code == 1 and any(f'level=error msg="unable to load config for runtime {engine}: {error}' in line
                             or f"level=error msg=\"unable to load config for runtime {engine}: {error}" in line
                             for line in log)
    assert run.files == {"config": text}


def test_a_second_file_that_cannot_be_written_takes_the_first_back(run, place):
    (place / "d").mkdir()
    (place / "d/99.toml").write_text("old")
    code, _, log = run("containerd", "--config", "/proc/none/config.toml", "--drop-in-config", f"{place}/d/99.toml")
    assert code == 1 and "unable to flush config" in log[-2]
    assert run.files == {"d/99.toml": "old"}


def test_what_a_flag_cannot_do_for_docker_is_a_warning(run):
    code, _, log = run("docker", "--config-mode", "foo", "--executable-path", "/x", "--config-source", "command")
    assert code == 0 and log[:3] == [
        'level=warning msg="Ignoring unsupported config mode for docker: \\"foo\\""',
        'level=warning msg="Ignoring executable-path=\\"/x\\" flag for docker"',
        'level=warning msg="A command Config Source is not supported for docker; using file"']


def test_the_hook_file_is_shown_or_written(run):
    code, out, log = run("docker", "--config-mode", "oci-hook")
    assert code == 0 and json.loads(out)["stages"] == ["prestart"]
    assert log == ['level=warning msg="The \\"oci-hook\\" config-mode is deprecated"']
    assert run("foo", "--config-mode", "hook", "--oci-hook-path", "h/a.json")[:2] == (0, "")
    assert run.files == {"h/a.json": out}


def test_owner_mode_and_links_of_a_file_stay(run, place):
    (place / "real").write_text("{}")
    (place / "real").chmod(0o640)
    (place / "config").symlink_to("real")
    assert run("docker")[0] == 0
    assert (place / "config").is_symlink() and (place / "real").stat().st_mode & 0o777 == 0o640
    assert "nvidia" in (place / "real").read_text()


def test_info_and_groups_show_their_help(capfd):
    for args in (["info"], ["runtime"], ["system"], ["info", "--help"]):
        assert main(["nvidia-ctk", *args]) == 0
        assert capfd.readouterr().out.startswith(f"NAME:\n   NVIDIA Container Toolkit CLI {args[0]} - ")
    assert main(["nvidia-ctk", "info", "foo"]) == 3


lines = st.lists(st.sampled_from([
    "version = 2", "version = 3", "# c", "", "imports = ['/a']", "[plugins]", f'[plugins."{CRI}"]', "[[l]]",
    f'[plugins."{CRI}".containerd.runtimes.runc]', "runtime_type = ''", f'plugins."{CRI}".x = 1', "a.b = 1 # d",
    f'[plugins."{CRI}".containerd.runtimes.nvidia]', "options = {a = 1}", "[crio.runtime]", "enable_cdi = false",
    "[crio.runtime.runtimes.crun]", f'[plugins."{CRI}".containerd]', "default_runtime_name = 'nvidia'",
    "default_runtime = 'nvidia'", "crio = {}",
]), max_size=8).map("\n".join)


@settings(max_examples=50)
@given(st.sampled_from(["containerd", "crio"]), lines, st.booleans())
def test_arbitrary_documents_keep_what_they_said_and_their_comments(engine, text, default):
    with open("config", "w", encoding="utf-8") as f:
        f.write(text)
    args = ["nvidia-ctk", "--quiet", "runtime", "configure", "--runtime", engine, "--config", "config",
            "--drop-in-config", "", *(["--set-as-default"] if default else [])]
    if main(args):
        with open("config", encoding="utf-8") as f:
            assert f.read() == text
        return
    with open("config", encoding="utf-8") as f:
        after = f.read()
    assert "/usr/bin/nvidia-container-runtime" in after and after.count("# ") >= text.count("# ")
    before, document = tomllib.loads(text), tomllib.loads(after)
    assert {key: document[key] for key in before if key not in ("plugins", "crio")} == {
        key: before[key] for key in before if key not in ("plugins", "crio")}
    assert main(args) == 0
    with open("config", encoding="utf-8") as f:
        assert f.read() == after


@settings(max_examples=40)
@given(st.sampled_from(["containerd", "crio", "docker"]),
       st.binary(max_size=50) | st.text('{}[]":,=#\n a1', max_size=50).map(str.encode))
def test_any_bytes_as_configuration_are_changed_or_refused(engine, data):
    with open("config", "wb") as f:
        f.write(data)
    args = ["nvidia-ctk", "--quiet", "runtime", "configure", "--runtime", engine, "--config", "config"]
    if main([*args, *(["--drop-in-config", ""] if engine != "docker" else [])]):
        with open("config", "rb") as f:
            assert f.read() == data
