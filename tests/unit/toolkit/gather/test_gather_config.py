"""config.toml → Config: defaults, overlay, upstream's error texts, any bytes."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.errors import ConfigError
from toolkit.gather.config import check_ldconfig, config_path, normalised_ldconfig, read_config, read_unvalidated
from toolkit.model.config import Config

CORPUS = Path(__file__).parents[3] / "corpus" / "config"


def read_text(tmp_path: Path, text: str) -> Config:
    (tmp_path / "config.toml").write_text(text)
    return read_config("/config.toml", root=str(tmp_path)).config


def error_of(tmp_path: Path, text: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        read_text(tmp_path, text)
    return caught.value


def test_without_a_file_there_are_the_defaults(tmp_path: Path) -> None:
    read = read_config(environment={}, root=str(tmp_path))
    assert read.config == Config()
    assert (read.path, read.path_origin) == ("/etc/nvidia-container-runtime/config.toml", "default")
    assert not read.present


def test_a_required_file_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read_config("/config.toml", root=str(tmp_path), required=True)
    assert caught.value.message == "file does not exist"


@pytest.mark.parametrize(
    ("environment", "path"),
    [
        ({"NVIDIA_CTK_CONFIG_FILE_PATH": "/a/b.toml", "XDG_CONFIG_HOME": "/x"}, ("/a/b.toml", "environment")),
        (
            {"NVIDIA_CTK_CONFIG_FILE_PATH": "", "XDG_CONFIG_HOME": "/x"},
            ("/x/nvidia-container-runtime/config.toml", "environment"),
        ),
        ({"XDG_CONFIG_HOME": ""}, ("/etc/nvidia-container-runtime/config.toml", "default")),
    ],
)
def test_the_first_variable_that_is_set_decides_the_path(environment: dict[str, str], path: tuple[str, str]) -> None:
    assert config_path(environment) == path


def test_a_file_overlays_the_defaults_key_by_key(tmp_path: Path) -> None:
    config = read_text(
        tmp_path,
        """
        swarm-resource = "DOCKER_RESOURCE_GPU"
        [nvidia-container-runtime]
        runtimes = ["crun"]
        modes.cdi.spec-dirs = ["/run/cdi"]
        [features]
        allow-unknown-oci-spec-fields = true
        """,
    )
    expected = Config()
    runtime = expected.nvidia_container_runtime
    modes = runtime.modes._replace(cdi=runtime.modes.cdi._replace(spec_dirs=("/run/cdi",)))
    assert config == expected._replace(
        swarm_resource="DOCKER_RESOURCE_GPU",
        nvidia_container_runtime=runtime._replace(runtimes=("crun",), modes=modes),
        features=expected.features._replace(allow_unknown_oci_spec_fields=True),
    )


def test_each_value_knows_where_it_comes_from(tmp_path: Path) -> None:
    (tmp_path / "c").write_text('[nvidia-container-cli]\nroot = "/run/nvidia/driver"\n')
    read = read_config("/c", root=str(tmp_path))
    assert read.path_origin == "flag"
    assert read.origin("nvidia-container-cli.root") == "file"
    assert read.origin("nvidia-container-cli.debug") == "default"


def test_an_unknown_key_is_ignored_with_a_note_that_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "c").write_text('[nvidia-container-runtime]\nmodes.cdi.spec-dir = ["/x"]\nzzz = 1\n')
    read = read_config("/c", root=str(tmp_path))
    assert read.notes == (
        "ignoring unknown key nvidia-container-runtime.modes.cdi.spec-dir; "
        "did you mean nvidia-container-runtime.modes.cdi.spec-dirs?",
        "ignoring unknown key nvidia-container-runtime.zzz",
    )


@pytest.mark.parametrize(
    ("text", "message", "key"),
    [
        ('disable-require = "yes"', "(1, 1): Can't convert yes(string) to bool", "disable-require"),
        (
            '[nvidia-container-runtime]\nruntimes = "runc"',
            "(2, 1): Can't convert runc(string) to []string(slice)",
            "nvidia-container-runtime.runtimes",
        ),
        (
            "[nvidia-container-runtime]\n  mode = 1",
            "(2, 3): Can't convert 1(int64) to string",
            "nvidia-container-runtime.mode",
        ),
        (
            '[features]\nallow-ldconfig-from-container = "true"',
            "(2, 1): Can't convert true(string) to config.feature",
            "features.allow-ldconfig-from-container",
        ),
        (
            "nvidia-ctk = {path = true}",
            "(1, 0): Can't convert true(bool) to string",
            "nvidia-ctk.path",
        ),
        (
            "[nvidia-container-runtime]\nruntimes = [1.5]",
            "(2, 1): Can't convert 1.5(float64) to string",
            "nvidia-container-runtime.runtimes",
        ),
    ],
)
def test_a_value_of_the_wrong_type_names_file_position_key_and_remedy(
    tmp_path: Path, text: str, message: str, key: str
) -> None:
    error = error_of(tmp_path, text)
    assert error.message == f"failed to unmarshal config: {message}"
    assert error.source == f"/config.toml: {key}"
    assert error.hint


def test_a_syntax_error_names_line_and_column(tmp_path: Path) -> None:
    error = error_of(tmp_path, "disable-require = true\nruntimes = = 3\n")
    assert error.message.startswith("failed to load specified config file: (2, 12): ")
    assert error.source == "/config.toml"


def test_a_directory_is_not_a_file(tmp_path: Path) -> None:
    (tmp_path / "config.toml").mkdir()
    with pytest.raises(ConfigError, match="failed to load specified config file: read /config.toml: is a directory"):
        read_config("/config.toml", root=str(tmp_path))


def test_ldconfig_in_the_container_needs_a_feature(tmp_path: Path) -> None:
    text = '[nvidia-container-cli]\nldconfig = "/sbin/ldconfig"\n'
    error = error_of(tmp_path, text)
    assert error.message == (
        "nvidia-container-cli.ldconfig value \"/sbin/ldconfig\" is not host-relative (does not start with a '@')\n"
        "invalid config value"
    )
    assert "is not host-relative" in error_of(tmp_path, '[nvidia-container-cli]\nldconfig = ""').message
    read_text(tmp_path, text + "[features]\nallow-ldconfig-from-container = true\n")
    assert read_unvalidated("/config.toml", root=str(tmp_path)).present


@pytest.mark.parametrize(
    ("value", "exists", "result"),
    [
        ("@/sbin/ldconfig", False, "@/sbin/ldconfig"),
        ("@/sbin/ldconfig", True, "@/sbin/ldconfig.real"),
        ("@/sbin/ldconfig.real", True, "@/sbin/ldconfig.real"),
        ("@/sbin/ldconfig.real", False, "@/sbin/ldconfig"),
        ("/sbin/ldconfig", True, "/sbin/ldconfig"),
    ],
)
def test_ldconfig_is_the_real_program_where_there_is_one(tmp_path: Path, value: str, exists: bool, result: str) -> None:
    if exists:
        (tmp_path / "sbin").mkdir()
        (tmp_path / "sbin/ldconfig.real").touch()
    assert normalised_ldconfig(value, str(tmp_path)) == result
    check_ldconfig(
        Config(nvidia_container_cli=Config().nvidia_container_cli._replace(ldconfig="@" + value.lstrip("@")))
    )


@pytest.mark.parametrize(
    ("line", "user"),
    [
        ('ID_LIKE="suse opensuse"', "root:video"),
        ("ID_LIKE=opensuse", "root:video"),
        ('ID_LIKE="debian"', ""),
        ('NAME=x\nID="suse"', ""),
    ],
)
def test_suse_runs_the_cli_as_a_member_of_video(tmp_path: Path, line: str, user: str) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/os-release").write_text(line + "\n")
    assert read_config(environment={}, root=str(tmp_path)).config.nvidia_container_cli.user == user


@pytest.mark.parametrize("path", sorted((CORPUS / "good").iterdir()), ids=lambda path: path.name)
def test_good_files_are_read(path: Path) -> None:
    assert read_config(str(path)).present


@pytest.mark.parametrize("path", sorted((CORPUS / "bad").iterdir()), ids=lambda path: path.name)
def test_bad_files_give_an_error_with_file_and_remedy(path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read_config(str(path))
    assert str(path) in caught.value.source
    assert caught.value.hint


KEYS = st.sampled_from(
    ["disable-require", "swarm-resource", "nvidia-ctk.path", "features.x", "[features]", "[[a]]", "="]
)
LINES = st.lists(st.one_of(KEYS, st.sampled_from(["= true\n", '= "a"\n', "= [1]\n", "= {", "}", "\n", "'''"])))


@given(st.one_of(st.binary(), st.text().map(str.encode), LINES.map("".join).map(str.encode)))
def test_any_bytes_give_a_config_or_an_error(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_bytes(data)
    try:
        assert isinstance(read_config(str(path)).config, Config)
    except ConfigError as e:
        assert e.source.startswith(str(path)) and e.hint
