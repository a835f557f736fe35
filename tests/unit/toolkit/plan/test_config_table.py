"""--set, and which keys of config.toml are shown behind "#"."""

import pytest

from toolkit.errors import ConfigError
from toolkit.gather.quick_config import KEYS
from toolkit.model.config import Config
from toolkit.plan.config_table import SHOWN, paths_of, table_of, with_settings, with_shown_defaults
from toolkit.plan.toml_text import Commented


def after(*options, table=None, separator=":"):
    return with_settings(table or {}, options, separator)[0]


def test_every_shown_key_is_one_of_config_toml():
    assert {path for path in SHOWN if path[-1] not in KEYS[".".join(path[:-1])]} == set()


def test_the_defaults_leave_out_what_nobody_sets():
    paths = set(paths_of(table_of(Config())))
    assert ("nvidia-container-cli", "no-pivot") not in paths
    assert ("features",) not in paths and ("nvidia-container-runtime", "modes", "jit-cdi") not in paths
    assert ("nvidia-container-runtime", "modes", "legacy", "cuda-compat-mode") in paths


@pytest.mark.parametrize(("option", "expected"), [
    ("disable-require", {"disable-require": True}),
    ("disable-require=0", {"disable-require": False}),
    ("swarm-resource=", {"swarm-resource": ""}),
    ("nvidia-container-cli.user=a=b", {"nvidia-container-cli": {"user": "a=b"}}),
    ("nvidia-container-runtime.runtimes=a:b:", {"nvidia-container-runtime": {"runtimes": ["a", "b", ""]}}),
    ("nvidia-container-runtime.runtimes=a,b", {"nvidia-container-runtime": {"runtimes": ["a", "b"]}}),
    ("nvidia-container-cli.environment=", {"nvidia-container-cli": {"environment": [""]}}),
    ("features.ignore-imex-channel-requests", {"features": {"ignore-imex-channel-requests": True}}),
    ("nvidia-container-runtime.modes.cdi.spec-dirs=/a",
     {"nvidia-container-runtime": {"modes": {"cdi": {"spec-dirs": ["/a"]}}}}),
])
def test_a_setting_has_the_type_of_its_key(option, expected):
    assert after(option) == expected


def test_a_feature_set_to_nil_goes_and_its_table_stays():
    table = {"features": {"allow-ldconfig-from-container": True}}
    assert after("features.allow-ldconfig-from-container=nil", table=table) == {"features": {}}
    assert after("features.allow-ldconfig-from-container=nil") == {}
    assert table == {"features": {"allow-ldconfig-from-container": True}}


def test_the_last_setting_of_a_key_counts_and_other_keys_stay():
    table = {"mine": 1, "nvidia-container-cli": {"root": "/a", "x": 2}}
    assert after("nvidia-container-cli.root=/b", "nvidia-container-cli.root=/c", table=table) == {
        "mine": 1, "nvidia-container-cli": {"root": "/c", "x": 2}}


@pytest.mark.parametrize(("option", "text"), [
    ("nope=1", 'invalid config option: undefined field: "nope"'),
    ("nvidia-container-cli.x.y", 'invalid config option: undefined field: "x"'),
    ("disable-require.x", 'invalid config option: undefined field: "x"'),
    ("disable_require", 'invalid config option: undefined field: "disable_require"'),
    ("", 'invalid config option: undefined field: ""'),
    ("nvidia-container-cli.root", "invalid format: expected key=value; got nvidia-container-cli.root"),
    ("nvidia-container-cli=3", "unsupported type for [nvidia-container-cli 3] (struct)"),
    ("disable-require=maybe", 'invalid format: strconv.ParseBool: parsing "maybe": invalid syntax'),
    ("features.ignore-imex-channel-requests=x", 'invalid format: strconv.ParseBool: parsing "x": invalid syntax'),
])
def test_a_bad_setting_is_refused_in_upstreams_words(option, text):
    with pytest.raises(ConfigError) as error:
        after(option)
    assert error.value.message == f"invalid --set option {option}: {text}"


def test_a_setting_below_a_value_is_refused():
    with pytest.raises(ConfigError, match="nvidia-container-cli is not a table"):
        after("nvidia-container-cli.root=/x", table={"nvidia-container-cli": 5})


@pytest.mark.parametrize(("value", "present", "suse", "shown"), [
    (None, False, False, True), ("root:video", False, False, True), ("", False, False, True),
    ("other", False, False, False), ("root:video", True, False, False), ("", True, False, False),
    ("root:video", False, True, False), (None, False, True, True),
])
def test_a_key_is_shown_behind_a_hash_unless_someone_set_it(value, present, suse, shown):
    path = ("nvidia-container-cli", "user")
    table = {"nvidia-container-cli": {} if value is None else {"user": value}}
    found = with_shown_defaults(table, present=frozenset([path] if present else []), suse=suse)
    assert found["nvidia-container-cli"]["user"] == (Commented("root:video") if shown else value)


def test_dev_null_as_the_log_of_the_runtime_is_shown_as_the_usual_one():
    table = {"nvidia-container-runtime": {"debug": "/dev/null"}}
    shown = with_shown_defaults(table, present=frozenset(), suse=False)["nvidia-container-runtime"]["debug"]
    assert shown == Commented("/var/log/nvidia-container-runtime.log")
    assert table == {"nvidia-container-runtime": {"debug": "/dev/null"}}
