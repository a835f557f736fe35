"""nvidia-ctk: the command frame, `cdi generate` on emulated hosts, `cdi list`."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from nvsim import build, profile
from toolkit.cmd.ctk.frame import Command, Flag, Values, run
from toolkit.cmd.ctk.main import main
from toolkit.errors import ToolkitError
from toolkit.gather.cdi_dirs import parsed
from toolkit.plan.cdi_format import spec_of_dict
from toolkit.plan.cdi_validate import validate

Requires = Callable[..., None]
Out = pytest.CaptureFixture[str]
Fd = pytest.CaptureFixture[bytes]


def ctk(*args: str) -> int:
    return main(["nvidia-ctk", *args])


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the developer's shell has set for nvidia-ctk does not count here."""
    for name in list(os.environ):
        if name.startswith("NVIDIA_CTK"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="module")
def dgx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    root = str(tmp_path_factory.mktemp("dgx") / "root")
    build.build(profile.load("a100x8"), root, dev_root=root)
    yield root
    build.remove(root)


def test_the_group_shows_its_help(capfd: Out) -> None:
    assert ctk() == 0
    out = capfd.readouterr().out
    assert out.startswith("NAME:\n   NVIDIA Container Toolkit CLI - ")
    assert ctk("cdi", "--help") == ctk("help", "cdi") == ctk("cdi", "help") == 0
    pages = capfd.readouterr().out.split("NAME:\n")[1:]
    assert pages[0] == pages[1] == pages[2] and "NVIDIA Container Toolkit CLI cdi - " in pages[0]


def test_the_version_has_upstreams_words(capfd: Out) -> None:
    assert ctk("--version") == ctk("-v") == 0
    assert re.fullmatch(r"(NVIDIA Container Toolkit CLI version \d+\.\d+\.\d+\n)+", capfd.readouterr().out)


@pytest.mark.parametrize("args", [("foo",), ("cdi", "foo"), ("help", "foo")])
def test_an_unknown_command_ends_with_3(args: tuple[str, ...], capfd: Out) -> None:
    assert ctk(*args) == 3
    assert capfd.readouterr() == ("", "No help topic for 'foo'\n")


def test_an_unknown_flag_shows_the_help_and_ends_with_1(capfd: Out) -> None:
    assert ctk("cdi", "list", "-foo") == 1
    out, err = capfd.readouterr()
    assert out.startswith("NAME:\n   NVIDIA Container Toolkit CLI cdi list - ")
    assert err.startswith("Incorrect Usage: flag provided but not defined: -foo\n\n")
    assert err.rstrip().endswith('level=error msg="flag provided but not defined: -foo"')


def test_a_flag_without_its_value_is_wrong_usage(capfd: Out) -> None:
    assert ctk("cdi", "generate", "--mode") == 1
    assert "Incorrect Usage: flag needs an argument: --mode\n" in capfd.readouterr().err


def test_a_bad_switch_in_the_environment_names_its_variable(monkeypatch: pytest.MonkeyPatch, capfd: Out) -> None:
    monkeypatch.setenv("NVIDIA_CTK_DEBUG", "foo")
    assert ctk("cdi", "list") == 1
    assert (
        'could not parse \\"foo\\" as bool value from environment variable \\"NVIDIA_CTK_DEBUG\\" '
        "for flag debug: parse error" in capfd.readouterr().err
    )


def probe(args: list[str], **env: str) -> Values:
    """The values that a command of all kinds of flags sees."""
    seen: list[Values] = []
    flags = (
        Flag("list", "", ("a", "b"), env=("L",)),
        Flag("text", "", "t", aliases=("x",), env=("T", "T2")),
        Flag("yes", "", False, aliases=("y",), env=("Y",)),
        Flag("inner", "", False, aliases=("i",)),
    )
    inner = Command("go", "", flags, run=lambda values: seen.append(values) or 0)
    outer = (Flag("text", "", "outer"), Flag("debug", "", False, aliases=("d",)))
    assert run(Command("root", "", outer, (inner,)), args, env, version="1") == 0
    return seen[0]


def test_flags_have_one_dash_or_two_and_values_either_way() -> None:
    assert probe(["go", "-text=1"]).text("text") == probe(["go", "--x", "1"]).text("text") == "1"
    assert probe(["go", "--yes=false"]).switch("yes") is False
    assert probe(["go", "--text", "--yes"]).text("text") == "--yes"
    assert probe(["go", "--", "--yes"]).args == ("--yes",)


def test_outer_flags_count_further_in_and_inner_ones_hide_them() -> None:
    assert probe(["-d", "go"]).switch("debug") and probe(["go", "-d"]).switch("debug")
    assert probe(["go"]).text("text") == "t"


def test_short_switches_combine() -> None:
    values = probe(["go", "-yid"])
    assert values.switch("yes") and values.switch("inner") and values.switch("debug")


def test_lists_are_split_at_commas_and_replace_the_default() -> None:
    assert probe(["go", "--list", "1,2", "--list="]).items("list") == ("1", "2", "")
    assert probe(["go"]).items("list") == ("a", "b")


def test_the_environment_counts_where_the_command_line_says_nothing() -> None:
    assert probe(["go"], L="x,y", T2="2", Y="1") == (
        {"list": ("x", "y"), "text": "2", "yes": True, "inner": False, "debug": False},
        frozenset({"list", "text", "yes"}),
        (),
    )
    assert probe(["go", "--list", "z"], L="x").items("list") == ("z",)
    empty = probe(["go"], L="", T="", Y="")
    assert (empty.items("list"), empty.text("text"), empty.switch("yes")) == (("a", "b"), "", False)


def generated(capfd: Out, *args: str) -> dict[str, object]:
    assert ctk("--quiet", "cdi", "generate", *args) == 0
    document = yaml.safe_load(capfd.readouterr().out)
    assert isinstance(document, dict)
    return document


def test_a_specification_goes_to_stdout_and_people_to_stderr(dgx: str, capfd: Out) -> None:
    assert ctk("cdi", "generate", "--driver-root", dgx, "--dev-root", dgx) == 0
    out, err = capfd.readouterr()
    assert out.startswith("---\ncdiVersion: ")
    validate(spec_of_dict(yaml.safe_load(out)))
    assert 'level=info msg="Generated CDI spec with version ' in err
    assert 'level=warning msg="Could not locate ' in err


def test_devices_have_index_and_uuid_and_all(dgx: str, capfd: Out) -> None:
    machine = build.describe(dgx)
    document = generated(capfd, "--driver-root", dgx)
    names = [device["name"] for device in document["devices"]]  # type: ignore[attr-defined]
    assert names == sorted([*map(str, range(8)), *(gpu.uuid for gpu in machine.gpus), "all"])


def test_quiet_leaves_errors_only(dgx: str, capfd: Out) -> None:
    assert ctk("--quiet", "cdi", "generate", "--driver-root", dgx) == 0
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (("--format", "XML"), "invalid output format: xml"),
        (("--mode", "vfio"), "invalid discovery mode: vfio"),
        (("--device-name-strategy", "name"), "invalid device name strategy: name"),
        (("--vendor", "-"), 'invalid CDI vendor name: invalid vendor. \\"-\\", should start with letter'),
        (("--class", "a!b"), "invalid CDI class name: invalid class. invalid character '!' in name \\\"a!b\\\""),
        (("--enable-hook", "all"), "enabling all hooks is not supported"),
    ],
)
def test_a_flag_that_makes_no_sense_is_refused_before_anything_is_written(
    args: tuple[str, ...], text: str, tmp_path: Path, capfd: Out
) -> None:
    assert ctk("cdi", "generate", "--driver-root", str(tmp_path), "--output", str(tmp_path / "x.yaml"), *args) == 1
    out, err = capfd.readouterr()
    assert out == "" and text in err
    assert list(tmp_path.iterdir()) == []


def test_a_host_without_a_driver_fails_with_nvmls_text_and_writes_nothing(tmp_path: Path) -> None:
    """In a process of its own: where another test has loaded a libnvidia-ml.so.1, the loader would find that one."""
    output = tmp_path / "out" / "nvidia.yaml"
    command = "import sys; from toolkit.cmd.ctk.main import main; sys.exit(main(sys.argv))"
    done = subprocess.run([sys.executable, "-c", command, "cdi", "generate", "--mode", "nvml", "--library-search-path",
                           str(tmp_path), "--output", str(output)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert (
        "failed to generate CDI spec: failed to create device CDI specs: failed to construct device spec generators: "
        "failed to initialize NVML: ERROR_LIBRARY_NOT_FOUND" in done.stderr
    )
    assert not output.parent.exists()


@pytest.mark.parametrize(
    ("name", "flags", "written", "first"),
    [
        ("a.yaml", (), "a.yaml", "---"),
        ("a.json", (), "a.json", '{"cdiVersion"'),
        ("a.json", ("--format", "yaml"), "a.json", '{"cdiVersion"'),
        ("a.yml", (), "a.yml.yaml", "---"),
        ("a", ("--format", "JSON"), "a.json", '{"cdiVersion"'),
        ("a", (), "a.yaml", "---"),
    ],
)
def test_the_name_of_the_output_decides_its_format(
    dgx: str, tmp_path: Path, name: str, flags: tuple[str, ...], written: str, first: str
) -> None:
    folder = tmp_path / "new" / "folder"
    old = os.umask(0o077)
    try:
        assert ctk("--quiet", "cdi", "generate", "--driver-root", dgx, "--output", str(folder / name), *flags) == 0
    finally:
        os.umask(old)
    (path,) = folder.iterdir()
    assert path.name == written
    assert path.read_text().startswith(first)
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_format_that_the_name_contradicts_is_a_warning(dgx: str, tmp_path: Path, capfd: Out) -> None:
    output = str(tmp_path / "a.yaml")
    assert ctk("cdi", "generate", "--driver-root", dgx, "--output", output, "--format", "json") == 0
    text = 'Requested output format \\"json\\" does not match format implied by output file name: \\"yaml\\"'
    assert text in capfd.readouterr().err


def test_coherent_gpus_get_files_of_their_own(dgx: str, tmp_path: Path) -> None:
    args = ("--driver-root", dgx, "--output", str(tmp_path / "n.json"), "--feature-flag", "enable-coherent-annotations")
    assert ctk("--quiet", "cdi", "generate", *args) == 0
    kinds = {path.name: json.loads(path.read_text())["kind"] for path in tmp_path.iterdir()}
    assert kinds == {"n.json": "nvidia.com/gpu", "n.noncoherent.json": "nvidia.com/gpu.noncoherent"}


def test_none_switches_the_device_of_all_off(dgx: str, capfd: Out) -> None:
    assert ctk("cdi", "generate", "--driver-root", dgx, "--device-id", "none") == 0
    out, err = capfd.readouterr()
    assert [device["name"] for device in yaml.safe_load(out)["devices"]] == ["none"]
    assert "Disabling generation of 'all' device" in err


def test_the_same_gpu_twice_cannot_be_saved(dgx: str, capfd: Out) -> None:
    assert ctk("cdi", "generate", "--driver-root", dgx, "--device", "0,0") == 1
    out, err = capfd.readouterr()
    assert out == ""
    assert (
        "failed to write CDI spec to STDOUT: failed to write spec: invalid CDI Spec: "
        'invalid spec, multiple device \\"0\\"' in err
    )
    assert err.index("Generated CDI spec with version") < err.index("failed to write")


def test_a_mode_without_devices_cannot_be_saved(tmp_path: Path, capfd: Out) -> None:
    assert ctk("cdi", "generate", "--mode", "gds", "--driver-root", str(tmp_path)) == 1
    assert 'failed add device \\"all\\": invalid device, empty device edits' in capfd.readouterr().err
    assert ctk("cdi", "generate", "--mode", "imex", "--driver-root", str(tmp_path), "--no-all-device") == 1
    assert "invalid spec, no devices" in capfd.readouterr().err


def test_the_driver_root_comes_from_config_toml_last(
    dgx: str, tmp_path: Path, capfd: Out, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f'[nvidia-container-cli]\nroot = "{dgx}"\nldconfig = "in/container"\n')
    first = generated(capfd, "--config", str(config))
    monkeypatch.setenv("NVIDIA_CTK_DRIVER_ROOT", dgx)
    config.write_text("broken = ")
    assert generated(capfd, "--config", str(config)) == first


def test_hooks_name_the_program_that_was_asked_for(dgx: str, capfd: Out) -> None:
    document = generated(capfd, "--driver-root", dgx, "--nvidia-ctk-path", "/opt/nvidia-ctk", "--ldconfig-path", "/l")
    hooks = document["containerEdits"]["hooks"]  # type: ignore[index]
    assert {hook["path"] for hook in hooks} == {"/opt/nvidia-ctk"}
    assert ["nvidia-ctk", "hook", "update-ldcache", "--ldconfig-path", "/l"] in [hook["args"][:5] for hook in hooks]


def test_an_output_that_cannot_be_written_leaves_nothing(dgx: str, tmp_path: Path, capfd: Out) -> None:
    (tmp_path / "file").touch()
    assert ctk("cdi", "generate", "--driver-root", dgx, "--output", str(tmp_path / "file" / "x.yaml")) == 1
    assert "failed to write spec: failed to create Spec dir: " in capfd.readouterr().err
    (tmp_path / "taken.yaml").mkdir()
    assert ctk("cdi", "generate", "--driver-root", dgx, "--output", str(tmp_path / "taken.yaml")) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "taken.yaml"]


def spec_file(path: Path, *devices: str) -> None:
    path.parent.mkdir(exist_ok=True)
    edits = {"env": ["A=1"]}
    document = {
        "cdiVersion": "0.5.0",
        "kind": "a.b/c",
        "devices": [{"name": name, "containerEdits": edits} for name in devices],
    }
    path.write_text(json.dumps(document))


def test_list_prints_sorted_names_on_stdout_alone(tmp_path: Path, capfd: Out) -> None:
    spec_file(tmp_path / "etc/a.json", "1", "0")
    spec_file(tmp_path / "run/a.json", "0", "all")
    assert ctk("cdi", "list", "--spec-dir", f"{tmp_path}/etc,{tmp_path}/run,{tmp_path}/missing") == 0
    out, err = capfd.readouterr()
    assert out == "a.b/c=0\na.b/c=1\na.b/c=all\n"
    assert err.rstrip().endswith('level=info msg="Found 3 CDI devices"')


def test_list_warns_of_files_that_do_not_load(tmp_path: Path, capfd: Out) -> None:
    spec_file(tmp_path / "d/a.json", "x")
    spec_file(tmp_path / "d/b.json", "x")
    (tmp_path / "d/c.yaml").write_text("{")
    assert ctk("cdi", "list", "--spec-dir", str(tmp_path / "d")) == 0
    out, err = capfd.readouterr()
    assert out == ""
    assert 'msg="The following registry errors were reported:"' in err
    assert f"{tmp_path}/d/c.yaml: [failed to load CDI Spec failed to parse CDI Spec" in err
    assert 'conflicting device \\"a.b/c=x\\"' in err


def test_list_finds_what_generate_wrote(dgx: str, tmp_path: Path, capfd: Out) -> None:
    for name in ("a.yaml", "b.json"):
        output = tmp_path / name.removesuffix(".yaml").removesuffix(".json") / name
        assert ctk("--quiet", "cdi", "generate", "--driver-root", dgx, "--output", str(output)) == 0
        assert ctk("--quiet", "cdi", "list", "--spec-dir", str(output.parent)) == 0
        assert len(capfd.readouterr().out.splitlines()) == 17


def test_yaml_and_json_say_the_same(dgx: str, tmp_path: Path) -> None:
    for name in ("a.yaml", "a.json"):
        assert ctk("--quiet", "cdi", "generate", "--driver-root", dgx, "--output", str(tmp_path / name)) == 0
    values = [spec_of_dict(parsed((tmp_path / name).read_bytes())) for name in ("a.yaml", "a.json")]
    assert values[0] == values[1]


def test_the_hook_command_imports_nothing_of_the_frame() -> None:
    import subprocess

    code = "import sys; from toolkit.cmd.ctk.main import main; print('toolkit.cmd.ctk.frame' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_errors_raised_by_a_command_pass_through() -> None:
    def fail(_values: Values) -> int:
        raise ToolkitError("no")

    with pytest.raises(ToolkitError, match="no"):
        run(Command("root", "", run=fail), [], {}, version="1")
