"""What the hot binaries import.  The clock is `tox -e startup`; these sets do not depend on the machine."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HOME = str(Path(__file__).resolve().parents[2])
NEVER = {"dataclasses", "inspect", "logging", "pathlib", "subprocess", "shutil", "tempfile", "argparse"}
NEVER |= {"yaml", "tomlkit"}
LATER = NEVER | {"json", "tomllib", "ctypes", "typing", "re", "enum", "collections", "toolkit.model.config"}
SPEC = {"ociVersion": "1.0.2", "process": {"user": {"uid": 0, "gid": 0}, "cwd": "/"}, "root": {"path": "rootfs"}}
CONFIG = """[nvidia-container-cli]
load-kmods = true
[nvidia-container-runtime]
runtimes = ["/bin/true"]
debug = "/dev/null"
mode = "{mode}"
"""
CODE = """
import sys
sys.path.insert(0, sys.argv[1])
import os
def report(*_):
    os.write(3, "\\n".join(sys.modules).encode())
    os._exit(0)
os.execve = report
from {module} import main
try:
    main(sys.argv[2:])
except SystemExit:
    pass
report()
"""


def imported(module, *argv, stdin=b"", mode="cdi", folder):
    """The names in sys.modules at the moment the binary would execute the next one, or returns."""
    (folder / "config.toml").write_text(CONFIG.format(mode=mode))
    (folder / "config.json").write_text(json.dumps(SPEC))
    read, write = os.pipe()
    code = CODE.format(module=module).replace("os.write(3,", f"os.write({write},")
    try:
        subprocess.run(
            [sys.executable, "-ISc", code, HOME, *argv],
            pass_fds=(write,),
            input=stdin,
            cwd=folder,
            capture_output=True,
            check=False,
            env={"PATH": "/bin", "NVIDIA_CTK_CONFIG_FILE_PATH": str(folder / "config.toml")},
        )
    finally:
        os.close(write)
    with open(read, "rb") as f:
        names = set(f.read().decode().split("\n"))
    assert module in names
    return names


@pytest.mark.parametrize("verb", ["start", "state", "kill", "delete"])
@pytest.mark.parametrize("name", ["nvidia-container-runtime", "nvidia-container-runtime.cdi"])
def test_other_verbs_than_create_import_next_to_nothing(tmp_path, verb, name):
    names = imported(
        "toolkit.cmd.runtime", name, "--root", "/r", "--log", str(tmp_path / "log"), verb, "x", folder=tmp_path
    )
    assert names & LATER == set()
    assert len([n for n in names if n.startswith("toolkit.")]) <= 9


@pytest.mark.parametrize("mode", ["legacy", "cdi", "jit-cdi", "auto"])
def test_create_imports_no_heavy_module_and_nothing_of_gpus_for_a_container_without(tmp_path, mode):
    names = imported("toolkit.cmd.runtime", "nvidia-container-runtime", "create", "x", folder=tmp_path, mode=mode)
    assert names & (NEVER | {"ctypes", "toolkit.plan.generate", "toolkit.gather.host", "toolkit.gather.nvml"}) == set()


def test_create_with_devices_imports_no_heavy_module(tmp_path):
    with_gpu = {**SPEC, "process": {**SPEC["process"], "env": ["NVIDIA_VISIBLE_DEVICES=all"]}}
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "config.json").write_text(json.dumps(with_gpu))
    names = imported(
        "toolkit.cmd.runtime",
        "nvidia-container-runtime",
        "create",
        "--bundle",
        str(bundle),
        "x",
        folder=tmp_path,
        mode="jit-cdi",
    )
    assert "toolkit.plan.generate" in names
    assert names & NEVER == set()


def test_the_prestart_hook_imports_no_heavy_module(tmp_path):
    state = json.dumps({"pid": 1, "bundle": str(tmp_path)}).encode()
    names = imported(
        "toolkit.cmd.runtime_hook", "nvidia-container-runtime-hook", "prestart", stdin=state, folder=tmp_path
    )
    assert names & (NEVER | {"ctypes", "toolkit.plan.semver", "toolkit.model.cdi", "toolkit.model.edits"}) == set()
    assert "toolkit.plan.hook_args" in names


@pytest.mark.parametrize(
    ("module", "argv"),
    [
        ("toolkit.cmd.cdi_hook.main", ("nvidia-cdi-hook", "noop")),
        *(
            ("toolkit.cmd.cdi_hook.main", ("nvidia-cdi-hook", hook, "--container-spec", "/none"))
            for hook in (
                "create-symlinks",
                "chmod",
                "update-ldcache",
                "enable-cuda-compat",
                "disable-device-node-modification",
                "update-application-profile",
            )
        ),
        ("toolkit.cmd.ctk.main", ("nvidia-ctk", "hook", "create-symlinks", "--container-spec", "/none")),
        ("toolkit.cmd.cli.main", ("nvidia-container-cli", "configure", "--pid", "1", "/none")),
    ],
)
def test_hooks_and_the_container_cli_import_no_heavy_module(tmp_path, module, argv):
    assert imported(module, *argv, folder=tmp_path) & NEVER == set()


@pytest.mark.parametrize("hook", ["create-symlinks", "disable-device-node-modification", "update-application-profile"])
def test_a_hook_of_which_a_container_has_many_imports_next_to_nothing(tmp_path, hook):
    (tmp_path / "rootfs").mkdir()
    state = json.dumps({"ociVersion": "1.0.2", "id": "x", "pid": 1, "bundle": str(tmp_path)}).encode()
    names = imported("toolkit.cmd.cdi_hook.main", "nvidia-cdi-hook", hook, stdin=state, folder=tmp_path)
    assert "toolkit.gather.bundle" in names
    assert names & {"json", "re", "enum", "typing", "functools", "collections"} == set()
