"""nvidia-container-runtime-hook as a process, with a stand-in for nvidia-container-cli."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.cmd.runtime_hook import planned
from toolkit.log import Notes
from toolkit.model.config import Config, Runtime

HOME = str(Path(__file__).resolve().parents[4])
CODE = """import sys
sys.path.insert(0, sys.argv[1])
from toolkit.cmd.runtime_hook import main
sys.exit(main(sys.argv[2:]))"""
SPEC = {"ociVersion": "1.0.2", "process": {"env": ["NVIDIA_VISIBLE_DEVICES=0,1"]}, "root": {"path": "rootfs"}}
FAKE = """#!/bin/sh
printf '%s\\n' "$0" "$@" > "{folder}/argv"
env > "{folder}/env"
exit 3
"""


class Hook:
    """A bundle, a configuration and a stand-in cli on PATH; `run` starts the hook and `argv` is what the cli got."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "bin").mkdir()
        self.cli = folder / "bin/nvidia-container-cli"
        self.cli.write_text(FAKE.format(folder=folder))
        self.cli.chmod(0o755)
        self.config = folder / "config.toml"
        self.config.write_text('[nvidia-container-runtime]\nmode = "legacy"\n')

    def run(self, *args, spec=SPEC, state=None, env=None):
        if spec is not None:
            (self.folder / "config.json").write_bytes(spec if isinstance(spec, bytes) else json.dumps(spec).encode())
        if state is None:
            state = json.dumps({"ociVersion": "1.0.2", "id": "x", "pid": 42, "bundle": str(self.folder)}).encode()
        environment = {
            "PATH": f"{self.folder}/bin:/bin",
            "NVIDIA_CTK_CONFIG_FILE_PATH": str(self.config),
            **(env or {}),
        }
        command = [sys.executable, "-ISc", CODE, HOME, "nvidia-container-runtime-hook", *(args or ("prestart",))]
        return subprocess.run(command, input=state, capture_output=True, check=False, env=environment, cwd=self.folder)

    @property
    def argv(self):
        path = self.folder / "argv"
        return path.read_text().splitlines() if path.exists() else None


@pytest.fixture
def hook(tmp_path):
    return Hook(tmp_path)


def test_it_becomes_the_cli(hook):
    done = hook.run()
    assert done.returncode == 3
    assert hook.argv == [
        str(hook.cli),
        "--load-kmods",
        "configure",
        "--cuda-compat-mode=ldconfig",
        "--ldconfig=@/sbin/ldconfig",
        "--device=0,1",
        "--compute",
        "--utility",
        "--pid=42",
        f"{hook.folder}/rootfs",
    ]
    assert b"Using requested mode 'legacy'" in done.stderr


@pytest.mark.parametrize("env", [["PATH=/bin"], ["NVIDIA_VISIBLE_DEVICES=void"], ["NVIDIA_VISIBLE_DEVICES="]])
def test_a_container_without_gpus_is_none_of_its_business_in_any_mode(hook, env):
    hook.config.write_text('[nvidia-container-runtime]\nmode = "cdi"\n')
    done = hook.run(spec={**SPEC, "process": {"env": env}})
    assert (done.returncode, done.stdout, done.stderr, hook.argv) == (0, b"", b"", None)


def test_it_refuses_to_work_in_another_mode_unless_told_not_to_look(hook):
    hook.config.write_text('[nvidia-container-runtime]\nmode = "cdi"\n')
    done = hook.run()
    assert done.returncode == 1
    assert b"Using requested mode 'cdi'" in done.stderr
    assert (
        b"invoking the NVIDIA Container Runtime Hook directly (e.g. specifying the docker --gpus flag)" in done.stderr
    )
    assert hook.argv is None
    hook.config.write_text(
        '[nvidia-container-runtime]\nmode = "cdi"\n[nvidia-container-runtime-hook]\nskip-mode-detection = true\n'
    )
    assert hook.run().returncode == 3


def test_qualified_cdi_names_need_another_runtime(hook):
    hook.config.write_text("")
    done = hook.run(spec={**SPEC, "process": {"env": ["NVIDIA_VISIBLE_DEVICES=nvidia.com/gpu=0"]}})
    assert done.returncode == 1
    assert b"Auto-detected mode as 'cdi'" in done.stderr


def test_the_cli_inherits_the_path_it_was_searched_on(hook):
    hook.config.write_text(
        '[nvidia-container-runtime]\nmode = "legacy"\n[nvidia-container-cli]\nroot = "/drv"\n'
        'environment = ["EXTRA=1", "PATH=/ignored"]\n'
    )
    assert hook.run().returncode == 3
    env = dict(line.split("=", 1) for line in (hook.folder / "env").read_text().splitlines())
    assert env["EXTRA"] == "1"
    assert env["PATH"].split(":")[:3] == [f"/drv{hook.folder}/bin", "/drv/bin", "/drv/usr/local/sbin"]
    assert f":{hook.folder}/bin:/bin:/usr/local/sbin:" in env["PATH"]
    assert hook.argv[1] == "--root=/drv"


def test_a_configured_cli_is_taken_verbatim_and_path_left_alone(hook):
    hook.config.write_text(
        f'[nvidia-container-runtime]\nmode = "legacy"\n[nvidia-container-cli]\npath = "{hook.cli}"\n'
    )
    assert hook.run(env={"PATH": "/bin"}).returncode == 3
    assert "PATH=/bin\n" in (hook.folder / "env").read_text()
    hook.config.write_text('[nvidia-container-runtime]\nmode = "legacy"\n[nvidia-container-cli]\npath = "/no/cli"\n')
    assert b"exec failed: no such file or directory" in hook.run().stderr


def test_a_missing_cli_is_an_error(hook):
    hook.cli.unlink()
    done = hook.run()
    assert done.returncode == 1
    assert (
        b'couldn\'t find binary nvidia-container-cli in PATH: exec: "nvidia-container-cli": '
        b"executable file not found in $PATH"
    ) in done.stderr


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (None, "could not open OCI spec: open {folder}/config.json: no such file or directory"),
        (b"{", "could not decode OCI spec: unexpected EOF"),
        ({"process": {}, "root": {}}, "Version is empty in OCI spec"),
        ({"ociVersion": None, "process": {}}, "Version is empty in OCI spec"),
        ({"ociVersion": "1", "root": {}}, "Process is empty in OCI spec"),
        ({"ociVersion": "1", "process": {}}, "Root is empty in OCI spec"),
        ({**SPEC, "process": {"capabilities": []}}, "could not decode Process.Capabilities in OCI spec: json: "),
        ({**SPEC, "process": {"env": ["X"]}}, "invalid environment variable: X"),
        (
            {**SPEC, "process": {"env": ["NVIDIA_VISIBLE_DEVICES=0", "CUDA_VERSION=x"]}},
            "failed to get requirements failed to get version: invalid CUDA version x: invalid version string",
        ),
        (
            {
                **SPEC,
                "process": {"env": ["NVIDIA_VISIBLE_DEVICES=0", "NVIDIA_MIG_CONFIG_DEVICES=all", "CUDA_VERSION=x"]},
            },
            "cannot set MIG_CONFIG_DEVICES in non privileged container",
        ),
    ],
)
def test_a_bundle_that_cannot_be_used_is_an_error_with_upstreams_text(hook, spec, message):
    done = hook.run(spec=spec)
    assert done.returncode == 1
    assert done.stderr.decode().startswith(message.format(folder=hook.folder))
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "couldn't open required configuration file: file does not exist"),
        ("[", "couldn't open required configuration file: failed to load specified config file: "),
        ("disable-require = 1", "failed to unmarshal config: (1, 1): "),
        ('[nvidia-container-cli]\nldconfig = "/x"', 'nvidia-container-cli.ldconfig value "/x" is not host-relative'),
    ],
)
def test_a_configuration_that_cannot_be_used_is_an_error(hook, text, message):
    hook.config.unlink()
    if text is not None:
        hook.config.write_text(text)
    done = hook.run()
    assert done.returncode == 1
    assert done.stderr.decode().startswith(f"error getting hook config: failed to load config: {message}")


def test_the_flag_names_the_configuration_before_the_environment(hook):
    other = hook.folder / "other.toml"
    other.write_text('[nvidia-container-runtime]\nmode = "legacy"\n[nvidia-container-cli]\nload-kmods = false\n')
    assert hook.run("-config", str(other), "prestart").returncode == 3
    assert "--load-kmods" not in hook.argv


def test_an_older_state_names_its_bundle_differently_and_unknown_fields_do_not_matter(hook):
    state = json.dumps({"pid": 7, "bundlePath": str(hook.folder), "more": {}}).encode()
    assert hook.run(state=state).returncode == 3
    assert "--pid=7" in hook.argv


def test_no_op_commands_read_nothing(hook):
    for command in ("poststart", "poststop"):
        done = hook.run(command, "extra", state=b"not json")
        assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize(
    ("args", "code", "first"),
    [
        (["start"], 2, "Usage of nvidia-container-runtime-hook:"),
        (["-h"], 0, "Usage of nvidia-container-runtime-hook:"),
        (["-foo"], 2, "flag provided but not defined: -foo"),
        (["-debug"], 2, "Usage of nvidia-container-runtime-hook:"),
    ],
)
def test_usage_errors(hook, args, code, first):
    done = hook.run(*args)
    assert done.returncode == code
    assert done.stderr.decode().startswith(first)
    assert done.stderr.decode().endswith(
        "  -version\n    \tenable version output\n\nCommands:\n  prestart\n"
        "        run the prestart hook\n  poststart\n        no-op\n  poststop\n"
        "        no-op\n"
    )


def test_version_and_debug(hook):
    assert hook.run("-version", "prestart").stdout.startswith(b"NVIDIA Container Runtime Hook version ")
    assert hook.run("-debug", "prestart").returncode == 3
    assert "--debug=/dev/stderr" in hook.argv
    assert b"Traceback" in hook.run("-debug", "prestart", spec=b"{").stderr


@settings(max_examples=15)
@given(state=st.binary(max_size=80) | st.just(b'{"pid": 1e3}') | st.just(b'{"pid": "1"}') | st.just(b"null"))
def test_any_bytes_as_state_end_without_a_traceback(tmp_path_factory, state):
    done = Hook(tmp_path_factory.mktemp("hook")).run(spec=None, state=state)
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr
    assert done.stderr.startswith((b"could not decode container state: ", b"could not open OCI spec: "))


def test_the_plan_of_the_hook_can_be_had_without_running_it(tmp_path):
    config = Config(nvidia_container_runtime=Runtime(mode="legacy"))
    notes = Notes()
    words = planned(SPEC, config, rootfs="/c", pid=5, root=str(tmp_path), log=notes)
    assert words[0] == "--load-kmods" and words[-2:] == ("--pid=5", "/c")
    assert notes.lines == [("info", "Using requested mode 'legacy'")]
    assert planned({**SPEC, "process": {}}, config, rootfs="/c", root=str(tmp_path)) == ()


def test_the_cli_gets_the_environment_of_the_hook_and_nothing_of_the_interpreters(hook):
    more = '[nvidia-container-cli]\nenvironment = ["A=1"]\n'
    hook.config.write_text(f'{more}[nvidia-container-runtime]\nmode = "legacy"\n')
    hook.run()
    names = {line.partition("=")[0] for line in (hook.folder / "env").read_text().splitlines()}
    assert names - {"PWD", "SHLVL", "_", "OLDPWD"} == {"A", "NVIDIA_CTK_CONFIG_FILE_PATH", "PATH"}


def test_the_mode_is_a_bare_line_and_a_warning_has_its_level(hook):
    assert hook.run().stderr == b"Using requested mode 'legacy'\n"
    hook.config.write_text("accept-nvidia-visible-devices-envvar-when-unprivileged = false\n")
    assert b"level=warning msg=\"Ignoring devices requested" in hook.run().stderr


@pytest.mark.parametrize(("state", "spec", "message"), [
    (b"[]", SPEC,
     "could not decode container state: json: cannot unmarshal array into Go value of type main.HookState"),
    (None, b"[]", "could not decode OCI spec: json: cannot unmarshal array into Go value of type main.Spec"),
    (None, {**SPEC, "ociVersion": "1.0.0-rc3", "process": {"env": [], "capabilities": {}}},
     "could not decode Process.Capabilities in OCI spec: json: cannot unmarshal object into Go value of type []string"),
])
def test_a_document_of_another_shape_is_refused_in_upstreams_words(hook, state, spec, message):
    assert hook.run(state=state, spec=spec).stderr.decode().splitlines()[0] == message


def test_the_pid_is_unsigned(hook):
    hook.run(state=json.dumps({"pid": -1, "bundle": str(hook.folder)}).encode())
    assert "--pid=18446744073709551615" in hook.argv
