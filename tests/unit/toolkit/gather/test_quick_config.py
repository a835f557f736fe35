"""The plain form of config.toml: what it says is what TOML says, or nothing."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.gather.quick_config import DEFAULT_PATH, KEYS, plain_tables, plain_values, read_quickly
from toolkit.model.config import Config

PLAIN = """
# comment
disable-require = false
supported-driver-capabilities = "compat32,compute"

[nvidia-container-cli]
environment = []
\tldconfig = "@/sbin/ldconfig"
[nvidia-container-runtime]
runtimes = ["runc" , "crun"]
[nvidia-container-runtime.modes]
[nvidia-container-runtime.modes.cdi]
spec-dirs = [ "/etc/cdi","/var/run/cdi" ]
"""


def model_keys(default, table=""):
    found = {table: {}}
    for field in default._fields:
        value, key = getattr(default, field), field.replace("_", "-")
        if hasattr(value, "_fields"):
            found |= model_keys(value, f"{table}.{key}".lstrip("."))
        else:
            found[table][key] = type(value)
    return found


def test_the_keys_are_those_of_the_model():
    assert {table: {key: type(value) for key, value in keys.items()} for table, keys in KEYS.items()} == model_keys(
        Config()
    )


def test_the_default_path_is_the_full_readers():
    from toolkit.gather import config

    assert config.DEFAULT_PATH == DEFAULT_PATH


def test_the_plain_form_is_read_as_toml_reads_it():
    assert plain_tables(PLAIN) == {
        **tomllib.loads(PLAIN),
        "nvidia-container-runtime": {
            "runtimes": ["runc", "crun"],
            "modes": {"cdi": {"spec-dirs": ["/etc/cdi", "/var/run/cdi"]}},
        },
    }


@pytest.mark.parametrize(
    "text",
    [
        'mode = "x"',
        "disable-require = 1",
        "disable-require = true # sure",
        'swarm-resource = "a\\n"',
        "[other]",
        'swarm-resource = """a"""',
        "swarm-resource = 'a'",
        '"swarm-resource" = "a"',
        "disable-require",
        "[nvidia-ctk",
        "disable-require = true\ndisable-require = true",
        "[nvidia-ctk]\n[nvidia-ctk]",
        "nvidia-ctk.path = 'x'",
        "[[features]]",
        '[nvidia-container-runtime]\nruntimes = ["a,b"]',
        '[nvidia-container-runtime]\nruntimes = ["a",]',
        "# \x01",
        '[nvidia-container-runtime]\nruntimes = ["a"\n]',
        'swarm-resource = "',
        "swarm-resource = 5",
        "disable-require=true\r",
        'nvidia-ctk = {path = "x"}',
    ],
)
def test_anything_else_is_left_to_the_full_reader(text):
    assert plain_values(text) is None


def test_a_missing_file_is_empty_and_others_are_left_alone(tmp_path):
    assert read_quickly(str(tmp_path / "none")) == {}
    assert read_quickly(str(tmp_path)) is None
    path = tmp_path / "config.toml"
    path.write_text(PLAIN)
    assert read_quickly(str(path))["nvidia-container-runtime", "runtimes"] == ("runc", "crun")
    path.write_text('[nvidia-container-cli]\nldconfig = "/sbin/ldconfig"\n')
    assert read_quickly(str(path)) is None
    path.write_text("# é\n")
    assert read_quickly(str(path)) is None


LINES = st.sampled_from(
    PLAIN.split("\n") + ["[nvidia-ctk]", 'path = "a"', "root = ''", "x = 1", "disable-require = yes"]
)


@given(st.lists(LINES).map("\n".join) | st.text() | st.lists(LINES | st.text(max_size=20)).map("\n".join))
def test_whatever_is_read_means_the_same_to_toml(text):
    tables = plain_tables(text)
    if tables is not None:
        assert tables == without_empty(tomllib.loads(text))


def without_empty(table):
    cleaned = {key: without_empty(value) if isinstance(value, dict) else value for key, value in table.items()}
    return {key: value for key, value in cleaned.items() if value != {}}
