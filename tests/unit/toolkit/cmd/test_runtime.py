"""nvidia-container-runtime: as a process in front of a stand-in for runc, and its edits as a function."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit import __version__
from toolkit.cmd.runtime import edited
from toolkit.errors import ToolkitError
from toolkit.model.config import Cdi, Config, Features, Legacy, Modes, Runtime

HOME = str(Path(__file__).resolve().parents[4])
CODE = "import sys; sys.path.insert(0, sys.argv[1]); from toolkit.cmd.runtime import main; sys.exit(main(sys.argv[2:]))"
FAKE = """#!/bin/sh
echo "low-level runtime" "$@"
exit 7
"""
CONSTRUCT = "failed to create NVIDIA Container Runtime: failed to construct OCI spec modifier: "
CDI = {
    "cdiVersion": "0.5.0",
    "kind": "v.com/gpu",
    "containerEdits": {"env": ["COMMON=1", "A=common"]},
    "devices": [
        {
            "name": "0",
            "containerEdits": {
                "env": ["A=device"],
                "deviceNodes": [{"path": "/dev/x", "type": "c", "major": 9, "minor": 1, "fileMode": 384}],
                "mounts": [{"hostPath": "/h", "containerPath": "/lib/h", "options": ["ro"]}],
                "hooks": [{"hookName": "createContainer", "path": "/hook", "args": ["hook", "do"]}],
            },
        },
        {"name": "none", "containerEdits": {"env": ["NONE=1"]}},
    ],
}


def spec_of(*env, **more):
    return {"ociVersion": "1.0.2", "process": {"user": {"uid": 0, "gid": 0}, "env": list(env), "cwd": "/"}, **more}


def in_mode(mode, **options):
    return Config(nvidia_container_runtime=Runtime(mode=mode), **options)


def difference(before, after, path=""):
    """Lines "+path: value" and "-path: value", sorted."""
    if isinstance(before, dict) and isinstance(after, dict):
        found = [
            line
            for key in {**before, **after}
            for line in difference(before.get(key), after.get(key), f"{path}.{key}".lstrip("."))
        ]
    elif isinstance(before, list) and isinstance(after, list):
        found = [f"-{path}: {json.dumps(item)}" for item in before if item not in after]
        found += [f"+{path}: {json.dumps(item)}" for item in after if item not in before]
    else:
        found = [
            f"{sign}{path}: {json.dumps(item)}"
            for sign, item in (("-", before), ("+", after))
            if item is not None and before != after
        ]
    return found if path and "." in path else sorted(found)


class Place:
    def __init__(self, folder):
        self.folder = folder
        (folder / "low-level").write_text(FAKE)
        (folder / "low-level").chmod(0o755)
        self.configure('mode = "legacy"')
        self.write(spec_of())

    def configure(self, *lines, before=""):
        text = "\n".join((before, "[nvidia-container-runtime]", f'runtimes = ["{self.folder}/low-level"]', *lines, ""))
        (self.folder / "config.toml").write_text(text)

    def write(self, spec):
        (self.folder / "config.json").write_bytes(spec if isinstance(spec, bytes) else json.dumps(spec).encode())

    def run(self, *args, name="nvidia-container-runtime", **env):
        environment = {"PATH": "/bin", "NVIDIA_CTK_CONFIG_FILE_PATH": f"{self.folder}/config.toml", **env}
        return subprocess.run(
            [sys.executable, "-ISc", CODE, HOME, name, *args],
            capture_output=True,
            text=True,
            check=False,
            env=environment,
            cwd=self.folder,
        )

    @property
    def spec(self):
        return json.loads((self.folder / "config.json").read_text())


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


@pytest.fixture
def registry(tmp_path):
    (tmp_path / "etc/cdi").mkdir(parents=True)
    (tmp_path / "etc/cdi/v.json").write_text(json.dumps(CDI))
    return str(tmp_path)


@pytest.mark.parametrize("args", [["start", "x"], ["--root", "/r", "state", "x"], ["run", "--bundle", ".", "x"], []])
def test_other_verbs_are_passed_on_and_the_bundle_left_alone(place, args):
    place.write(b"not json")
    done = place.run(*args)
    assert (done.returncode, done.stderr) == (7, "")
    assert done.stdout.split()[2:] == args


def test_create_edits_the_bundle_and_passes_everything_on(place):
    done = place.run("--root", "/r", "create", "--bundle", str(place.folder), "x")
    assert done.stdout == f"low-level runtime --root /r create --bundle {place.folder} x\n"
    hook = "/usr/bin/nvidia-container-runtime-hook"
    assert place.spec["hooks"] == {"prestart": [{"path": hook, "args": [os.path.basename(hook), "prestart"]}]}


def test_without_a_bundle_the_current_folder_is_edited_even_if_nothing_changes(place):
    place.configure('mode = "cdi"')
    place.write(b'{"process": {"cwd": "/", "env": []}, "ociVersion": "1.0.2"} trailing')
    assert place.run("create", "x").returncode == 7
    assert (place.folder / "config.json").read_text() == (
        '{"ociVersion":"1.0.2","process":{"user":{"uid":0,"gid":0},"cwd":"/"}}\n'
    )


@pytest.mark.parametrize(
    ("name", "hooked"),
    [
        ("nvidia-container-runtime.legacy", True),
        ("nvidia-container-runtime.cdi", False),
        ("/x/nvidia-container-runtime", True),
    ],
)
def test_the_name_of_the_binary_forces_its_mode(place, name, hooked):
    place.run("create", "x", name=name)
    assert ("hooks" in place.spec) is hooked


@pytest.mark.parametrize(
    ("lines", "args", "message"),
    [
        (
            ["runtimes = []"],
            ["start"],
            "failed to create NVIDIA Container Runtime: error constructing low-level runtime: error locating runtime: "
            "at least one runtime candidate must be specified",
        ),
        (
            ['runtimes = ["no-such", "/nor/this"]'],
            ["start"],
            "failed to create NVIDIA Container Runtime: error constructing low-level runtime: error locating runtime: "
            "no runtime binary found from candidate list: [no-such /nor/this]",
        ),
        (
            ['runtimes = ["/bin/true"]'],
            ["create", "--bundle"],
            "failed to create NVIDIA Container Runtime: error constructing OCI specification: error getting bundle "
            "directory: error getting bundle dir from args: bundle option requires an argument",
        ),
        (
            ['runtimes = ["/bin/true"]'],
            ["create", "-b", "/none"],
            f"{CONSTRUCT}failed to load OCI spec: error opening OCI "
            "specification file: open /none/config.json: no such file or directory",
        ),
        (
            ['runtimes = ["/bin/true"]', 'mode = "csi"'],
            ["create"],
            'failed to create NVIDIA Container Runtime: failed to construct OCI spec modifier: invalid mode \\"csi\\"',
        ),
        (
            ['runtimes = ["/bin/true"]', 'mode = ""'],
            ["create"],
            f"{CONSTRUCT}a mode must be specified",
        ),
        (
            ["runtimes = 5"],
            ["state"],
            "error loading config: failed to unmarshal config: (2, 1): Can't convert 5(int64) to []string(slice)",
        ),
    ],
)
def test_failures_have_upstreams_text_and_leave_with_1(place, lines, args, message):
    (place.folder / "config.toml").write_text("\n".join(["[nvidia-container-runtime]", *lines]))
    done = place.run(*args)
    assert done.returncode == 1
    assert f'level=error msg="{message}"' in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (b"", "EOF"),
        (b"[]", "json: cannot unmarshal array into Go value of type specs.Spec"),
        (b'{"newField": {}}', 'json: unknown field "newField"'),
    ],
)
def test_a_spec_that_cannot_be_used_is_an_error_and_stays(place, document, message):
    place.write(document)
    done = place.run("create", "x")
    assert done.returncode == 1
    assert (
        "failed to load OCI spec: error loading OCI specification from file: error reading OCI specification: "
        + message
    ) in done.stderr.replace('\\"', '"')
    assert (place.folder / "config.json").read_bytes() == document


def test_unknown_fields_pass_where_they_are_allowed(place):
    place.configure('mode = "cdi"', before="[features]\nallow-unknown-oci-spec-fields = true")
    place.write(spec_of(newField={"a": [1]}))
    assert place.run("create", "x").returncode == 7
    assert place.spec["newField"] == {"a": [1]}


def test_the_version_comes_first_and_the_low_level_runtimes_after_a_blank_line(place):
    done = place.run("--version")
    assert done.stdout == (
        f"NVIDIA Container Runtime version {__version__}\nspec: 1.3.0\n\nlow-level runtime --version\n"
    )


def test_both_logs_are_written(place):
    place.configure(f'debug = "{place.folder}/logs/debug.log"', 'mode = "legacy"')
    place.run("--log", f"{place.folder}/runc.log", "--log-format", "json", "--debug", "create", "x")
    lines = [json.loads(line) for line in (place.folder / "runc.log").read_text().splitlines()]
    assert (place.folder / "logs/debug.log").read_text() == (place.folder / "runc.log").read_text()
    assert [(line["level"], line["msg"]) for line in lines] == [
        ("debug", "Using bundle directory: "),
        ("info", "Using OCI specification file path: config.json"),
        ("info", "Using requested mode 'legacy'"),
        ("info", "Using requested mode 'legacy'"),
        ("debug", "Create command detected; applying OCI specification modifications"),
        ("info", "No modification required; no devices requested"),
        ("info", "No graphics modifier required; no devices requested"),
        ("info", "Using prestart hook path: /usr/bin/nvidia-container-runtime-hook"),
        ("debug", "Applied required modification to OCI specification"),
        ("debug", f"Forwarding command to runtime {place.folder}/low-level"),
    ]


def test_an_unknown_log_level_is_a_warning(place):
    place.configure('log-level = "loud"')
    place.run("--log", f"{place.folder}/runc.log", "start", "x")
    assert (
        "level=warning msg=\"Error getting log level: invalid log-level 'loud'\""
        in (place.folder / "runc.log").read_text()
    )


def test_an_existing_hook_is_kept(registry):
    before = spec_of(hooks={"prestart": [{"path": "/opt/nvidia-container-toolkit"}]})
    after, notes = edited(before, in_mode("legacy"), root=registry)
    assert after["hooks"] == before["hooks"]
    assert "Existing nvidia prestart hook (/opt/nvidia-container-toolkit) found in OCI spec" in notes


@pytest.mark.parametrize("mode", ["auto", "cdi"])
def test_a_named_device_is_injected_from_the_registry(registry, golden, mode):
    before = spec_of(
        "A=image",
        "NVIDIA_VISIBLE_DEVICES=v.com/gpu=0",
        hooks={"prestart": [{"path": "/x/nvidia-container-runtime-hook"}]},
        mounts=[{"destination": "/a/b/c"}, {"destination": "/proc"}],
    )
    after, notes = edited(before, in_mode(mode), root=registry)
    golden("runtime/registry.txt", "\n".join(difference(before, after)) + "\n")
    assert [mount["destination"] for mount in after["mounts"]] == ["/proc", "/lib/h", "/a/b/c"]
    assert notes == ("Auto-detected mode as 'cdi'" if mode == "auto" else "Using requested mode 'cdi'",)


def test_cdi_mode_qualifies_bare_names_and_none_is_a_device(registry):
    runtime = Runtime(mode="cdi", modes=Modes(cdi=Cdi(default_kind="v.com/gpu")))
    config = Config(nvidia_container_runtime=runtime)
    assert "NONE=1" in edited(spec_of("NVIDIA_VISIBLE_DEVICES=none"), config, root=registry)[0]["process"]["env"]
    with pytest.raises(ToolkitError, match="failed to inject CDI devices: unresolvable CDI devices v.com/gpu=all$"):
        edited(spec_of("NVIDIA_VISIBLE_DEVICES=all"), config, root=registry)


def test_annotations_choose_cdi_and_count_there_alone(registry):
    spec = spec_of(annotations={"cdi.k8s.io/plugin": "v.com/gpu=0"})
    assert "COMMON=1" in edited(spec, Config(), root=registry)[0]["process"]["env"]
    after, notes = edited(spec, in_mode("jit-cdi"), root=registry)
    assert "env" not in after["process"]
    assert notes == ("Using requested mode 'jit-cdi'",) * 2


@pytest.mark.parametrize(
    ("env", "config", "message"),
    [
        (
            "NVIDIA_VISIBLE_DEVICES=0",
            in_mode("jit-cdi"),
            'failed to create the automatic CDI modifier: failed to generate CDI spec for mode "auto": ',
        ),
        (
            "NVIDIA_VISIBLE_DEVICES=0,v.com/gpu=0",
            in_mode("jit-cdi"),
            "requesting a CDI device with vendor 'runtime.nvidia.com' is not supported when requesting other CDI "
            "devices",
        ),
        (
            "NVIDIA_VISIBLE_DEVICES=0",
            Config(
                nvidia_container_runtime=Runtime(mode="legacy", modes=Modes(legacy=Legacy(cuda_compat_mode="hook")))
            ),
            "failed to construct CUDA Compat discoverer: failed to get driver version: ",
        ),
    ],
)
def test_what_the_host_lacks_is_an_error_of_the_modification(registry, env, config, message):
    stem = "could not apply required modification to OCI specification: error modifying OCI spec: "
    with pytest.raises(ToolkitError) as e:
        edited(spec_of(env), config, root=registry)
    assert e.value.message.startswith(stem + message)


def test_a_broken_specification_file_is_mentioned_when_a_device_is_missing(registry, tmp_path, place):
    (tmp_path / "etc/cdi/broken.json").write_text("{")
    place.configure('mode = "cdi"', "[nvidia-container-runtime.modes.cdi]", f'spec-dirs = ["{registry}/etc/cdi"]')
    place.write(spec_of("NVIDIA_VISIBLE_DEVICES=v.com/gpu=7"))
    place.run("--log", f"{tmp_path}/log", "create", "x")
    log = (tmp_path / "log").read_text()
    assert 'level=warning msg="could not resolve CDI devices: [v.com/gpu=7]"' in log
    assert "Refreshing the CDI registry generated errors: failed to load CDI Spec failed to parse CDI Spec " in log
    assert f"{registry}/etc/cdi/broken.json" in log


def test_the_spec_that_is_passed_in_is_left_alone(registry):
    spec = spec_of("NVIDIA_VISIBLE_DEVICES=v.com/gpu=0")
    kept = json.dumps(spec)
    edited(spec, in_mode("cdi"), root=registry)
    assert json.dumps(spec) == kept


@settings(max_examples=60)
@given(
    env=st.lists(
        st.sampled_from(["NVIDIA_VISIBLE_DEVICES=", "NVIDIA_GDS=enabled", "X", "CUDA_VERSION=11"])
        | st.text(max_size=12).map("NVIDIA_VISIBLE_DEVICES=".__add__)
    ),
    mode=st.sampled_from(["auto", "cdi", "jit-cdi", "legacy", "csv", "x"]),
    strange=st.dictionaries(
        st.sampled_from(["hooks", "linux", "mounts", "root", "x"]),
        st.none() | st.integers() | st.just({}) | st.just([]),
    ),
)
def test_any_request_ends_in_a_spec_or_a_toolkit_error(tmp_path_factory, env, mode, strange):
    config = in_mode(mode, features=Features(allow_unknown_oci_spec_fields="x" in strange))
    try:
        after, _ = edited(spec_of(*env, **strange), config, root=str(tmp_path_factory.getbasetemp() / "nothing"))
    except ToolkitError as e:
        assert e.message
    else:
        assert after["ociVersion"] == "1.0.2"


@settings(max_examples=10)
@given(data=st.binary(max_size=60))
def test_any_bytes_as_config_json_end_without_a_traceback_and_stay(tmp_path_factory, data):
    place = Place(tmp_path_factory.mktemp("any"))
    place.write(data)
    done = place.run("create", "x")
    assert "Traceback" not in done.stderr
    assert done.returncode == 7 or (place.folder / "config.json").read_bytes() == data


def test_a_mode_without_channels_says_nothing_of_them(place):
    place.configure('mode = "legacy"', f'debug = "{place.folder}/log"',
                    before="accept-nvidia-visible-devices-envvar-when-unprivileged = false")
    place.write(spec_of("NVIDIA_IMEX_CHANNELS=0"))
    place.run("create", "x")
    assert "IMEX" not in (place.folder / "log").read_text()


def test_csv_mode_without_devices_changes_nothing_and_says_so_for_both_its_parts(tmp_path):
    spec = spec_of("A=1")
    after, notes = edited(spec, in_mode("csv"), root=str(tmp_path))
    assert after["process"] == spec["process"]
    assert notes[2:] == ("No modification required; no devices requested",) * 2


def test_graphics_of_a_driver_without_a_version_are_an_error(tmp_path):
    with pytest.raises(ToolkitError) as e:
        edited(spec_of("NVIDIA_VISIBLE_DEVICES=0", "NVIDIA_DRIVER_CAPABILITIES=graphics"), in_mode("legacy"),
               root=str(tmp_path))
    assert e.value.message.startswith(
        "could not apply required modification to OCI specification: error modifying OCI spec: failed to create mounts "
        "discoverer: failed to construct discoverer for graphics libraries: failed to get driver version: failed to "
        'locate "libcuda.so."')


def test_the_low_level_runtime_gets_the_environment_as_it_was_given(place):
    (place.folder / "low-level").write_text(f"#!/bin/sh\nenv > {place.folder}/env\n")
    place.run("start", "x", A="1")
    names = {line.partition("=")[0] for line in (place.folder / "env").read_text().splitlines()}
    assert names - {"PWD", "SHLVL", "_", "OLDPWD"} == {"A", "PATH", "NVIDIA_CTK_CONFIG_FILE_PATH"}
