"""An engine's configuration with the NVIDIA runtime, and without it again."""

import json
import tomllib

import pytest

from toolkit.errors import ConfigError
from toolkit.plan import engines as e
from toolkit.plan import engines_toml as t

WANTED = e.Wanted("nvidia", "/usr/bin/nvidia-container-runtime")
DEFAULT = WANTED._replace(default=True, cdi=True)
RUNTIME = {"runtime_type": "io.containerd.runc.v2", "runtime_root": "", "runtime_engine": "",
           "privileged_without_host_devices": False,
           "options": {"BinaryName": "/usr/bin/nvidia-container-runtime"}}
CRI = "io.containerd.grpc.v1.cri"


def containerd(config, wanted=WANTED):
    """The configuration changed as a whole, and the warnings."""
    layout = t.layout_of(config)
    changes, notes = t.containerd_changes(config, layout, wanted)
    return e.changed(config, changes), notes


def test_a_change_leaves_its_argument_alone_and_makes_the_tables_on_its_way():
    table = {"a": {"b": 1}}
    assert e.changed(table, (e.Change(("a", "c", "d"), 2), e.Change(("a", "b")), e.Change(("x", "y")))) == {
        "a": {"c": {"d": 2}}}
    assert table == {"a": {"b": 1}}


def test_a_change_below_a_value_names_the_key():
    with pytest.raises(ConfigError, match=r"a\.b is not a table"):
        e.changed({"a": {"b": 1}}, (e.Change(("a", "b", "c"), 2),))


def test_docker_gets_the_runtime_and_keeps_every_other_key():
    before = {"runtimes": {"nvidia": {"path": "old", "runtimeArgs": ["x"]}, "other": {}},
              "features": {"buildkit": True}, "default-runtime": "nvidia"}
    assert e.changed(before, e.docker_changes(before, WANTED)) == {
        **before, "runtimes": {"nvidia": {"args": [], "path": WANTED.path}, "other": {}}}
    after = e.changed(before, e.docker_changes(before, DEFAULT._replace(name="n")))
    assert after["features"] == {"buildkit": True, "cdi": True} and after["default-runtime"] == "n"


@pytest.mark.parametrize(("before", "keys"), [
    ('{"b": 1, "a": 2}', ["b", "a", "runtimes", "default-runtime"]),
    ('{"a": 2, "z": 1}', ["a", "default-runtime", "runtimes", "z"]),
    ("{}", ["default-runtime", "runtimes"]),
])
def test_docker_keeps_the_order_of_keys_and_what_was_sorted_stays_so(before, keys):
    config = json.loads(before)
    text = e.docker_text(e.changed(config, e.docker_changes(config, WANTED._replace(default=True))), config)
    assert list(json.loads(text)) == keys
    assert text.startswith('{\n    "') and text.endswith("\n}")


def test_docker_json_is_escaped_as_go_escapes_it():
    assert e.docker_text({"s": "<&>é\u2028"}, {}) == '{\n    "s": "\\u003c\\u0026\\u003eé\\u2028"\n}'
    with pytest.raises(ConfigError, match="out of range"):
        e.docker_text({"n": float("inf")}, {})


def test_docker_without_the_runtime_is_as_before_and_its_default_is_runc():
    config = {"z": 1}
    after = e.changed(config, e.docker_changes(config, WANTED._replace(default=True)))
    assert e.changed(after, e.docker_removal(after, "nvidia")) == {"z": 1, "default-runtime": "runc"}
    assert e.docker_removal(config, "nvidia") == ()


@pytest.mark.parametrize(("config", "version", "plugin"), [
    ({}, 2, CRI), ({"a": 1}, 1, "cri"), ({"version": 1}, 1, "cri"), ({"version": 2}, 2, CRI),
    ({"version": 3}, 3, "io.containerd.cri.v1.runtime"), ({"version": 4}, 4, "io.containerd.cri.v1.runtime"),
])
def test_the_version_decides_the_layout(config, version, plugin):
    assert t.layout_of(config) == t.Layout(version, plugin)


@pytest.mark.parametrize(("version", "shown"), [("x", "x"), (True, "true"), (2.5, "2.5")])
def test_a_version_is_a_number(version, shown):
    with pytest.raises(ConfigError, match=f"unsupported type for version field: {shown}"):
        t.layout_of({"version": version})


def test_containerd_without_runtimes_gets_a_plain_one_and_a_warning():
    after, notes = containerd({})
    assert after == {"version": 2, "plugins": {CRI: {"containerd": {"runtimes": {"nvidia": RUNTIME}}}}}
    assert notes == ("Could not infer options from runtimes [runc crun]",)


def test_containerds_runtime_is_modelled_on_the_default_one():
    runtimes = {"runc": {"a": 1}, "mine": {"runtime_type": "", "options": {"SystemdCgroup": True, "BinaryName": "/m"}}}
    before = {"version": 2, "plugins": {CRI: {"x": 1, "containerd": {"default_runtime_name": "mine",
                                                                    "runtimes": runtimes}}}}
    after, notes = containerd(before, DEFAULT)
    section = after["plugins"][CRI]
    assert notes == () and section["enable_cdi"] is True and section["x"] == 1
    assert section["containerd"]["default_runtime_name"] == "nvidia"
    assert section["containerd"]["runtimes"] == {**runtimes, "nvidia": {
        "runtime_type": "io.containerd.runc.v2",
        "options": {"SystemdCgroup": True, "BinaryName": WANTED.path}}}


@pytest.mark.parametrize("default", ["nvidia", "nvidia-cdi", "missing", "", 5])
def test_a_default_that_is_ours_or_missing_is_no_model(default):
    config = {"version": 2, "plugins": {CRI: {"containerd": {
        "default_runtime_name": default, "runtimes": {"nvidia-cdi": {"q": 1}, "crun": {"c": 1}}}}}}
    after, _ = containerd(config, WANTED._replace(name="new"))
    assert after["plugins"][CRI]["containerd"]["runtimes"]["new"]["c"] == 1


def test_without_the_flag_a_default_that_is_this_runtime_goes():
    config = {"version": 2, "plugins": {CRI: {"containerd": {"default_runtime_name": "nvidia"}}}}
    assert "default_runtime_name" not in containerd(config)[0]["plugins"][CRI]["containerd"]
    assert "default_runtime_name" in containerd(config, WANTED._replace(name="o"))[0]["plugins"][CRI]["containerd"]


def test_version_1_has_its_own_places():
    after, _ = containerd({"a": 1}, DEFAULT)
    cri = after["plugins"]["cri"]
    assert after["version"] == 1 and "enable_cdi" not in cri and cri["containerd"]["enable_cdi"] is True
    assert cri["containerd"]["runtimes"]["nvidia"]["options"] == {"BinaryName": WANTED.path, "Runtime": WANTED.path}


def test_the_drop_in_repeats_the_section_and_nothing_else():
    config = {"version": 3, "root": "/x", "plugins": {"other": {}, "io.containerd.cri.v1.runtime": {"x": 1}}}
    layout = t.layout_of(config)
    changes, _ = t.containerd_changes(config, layout, WANTED)
    drop_in = t.containerd_drop_in(config, layout, changes)
    assert set(drop_in) == {"version", "plugins"} and set(drop_in["plugins"]) == {"io.containerd.cri.v1.runtime"}
    assert drop_in["plugins"]["io.containerd.cri.v1.runtime"]["x"] == 1


@pytest.mark.parametrize(("top", "after"), [
    ({}, {"version": 2, "imports": ["/d/*.toml"]}), ({"version": 2}, {"version": 2, "imports": ["/d/*.toml"]}),
    ({"imports": ["/a"]}, {"imports": ["/a", "/d/*.toml"]}), ({"imports": ["/d/*.toml"]}, {"imports": ["/d/*.toml"]}),
])
def test_the_import_is_added_once(top, after):
    assert e.changed(top, t.containerd_import(top, "/d/*.toml", 2)) == after


def test_imports_that_are_no_list_are_refused():
    with pytest.raises(ConfigError, match="imports is not a list"):
        t.containerd_import({"imports": "x"}, "/d/*.toml", 2)


@pytest.mark.parametrize("config", [
    {}, {"version": 3}, {"version": 2, "root": "/x", "plugins": {CRI: {"x": 1}, "o": {}}}, {"version": 1, "a": 1},
])
@pytest.mark.parametrize("wanted", [WANTED, WANTED._replace(default=True)])
def test_containerd_without_the_runtime_is_as_before(config, wanted):
    after, _ = containerd(config, wanted)
    removed = e.changed(after, t.containerd_removal(after, "nvidia"))
    assert removed == ({} if set(config) <= {"version"} else config)


def test_removing_what_is_not_there_changes_nothing():
    config = {"version": 2, "plugins": {CRI: {"containerd": {"default_runtime_name": "runc"}}}}
    assert t.containerd_removal(config, "nvidia") == () == t.crio_removal({"crio": {"x": 1}}, "nvidia")


def test_a_top_level_file_that_only_imports_goes():
    top = {"version": 2, "imports": ["/d/*.toml"]}
    assert e.changed(top, t.containerd_import_removal(top, "/d/*.toml")) == {}
    assert t.containerd_import_removal({**top, "root": "/x"}, "/d/*.toml") == ()


def test_crio_gets_the_runtime_and_is_as_before_without_it():
    before = tomllib.loads('[crio]\nx = 1\n[crio.runtime]\ndefault_runtime = "my"\n[crio.runtime.runtimes.crun]\n'
                           'runtime_path = "/c"\nmonitor_env = ["A=b"]\n')
    changes, notes = t.crio_changes(before, DEFAULT)
    after = e.changed(before, changes)
    assert notes == () and after["crio"]["runtime"]["default_runtime"] == "nvidia"
    assert after["crio"]["runtime"]["runtimes"]["nvidia"] == {
        "monitor_env": ["A=b"], "runtime_path": WANTED.path, "runtime_type": "oci"}
    removed = e.changed(after, t.crio_removal(after, "nvidia"))
    assert removed["crio"]["runtime"] == {"runtimes": before["crio"]["runtime"]["runtimes"]}
    assert t.crio_changes({}, WANTED)[1] == ("Could not infer options from runtimes [runc crun]",)


@pytest.mark.parametrize(("path", "folders"), [
    ("/usr/bin/nvidia-container-runtime-hook", ""), ("/opt/x/hook", ":/opt/x"),
])
def test_the_hook_file_names_the_hook_and_where_it_lies(path, folders):
    document = json.loads(e.hook_text(path))
    assert document["hook"] == {
        "path": path, "args": [path.rpartition("/")[2], "prestart"],
        "env": [f"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin{folders}"]}
    assert document["stages"] == ["prestart"] and document["when"] == {"always": True, "commands": [".*"]}
