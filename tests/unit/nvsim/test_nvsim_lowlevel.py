import json

import pytest

from nvsim import lowlevel


@pytest.mark.parametrize(("line", "call"), [
    ("create --bundle /b ID", ("create", "/b", "ID", "")),
    ("--root /r --log /l --log-format json create -b /b --pid-file /p ID", ("create", "/b", "ID", "/r")),
    ("--root=/r run --bundle=/b ID", ("run", "/b", "ID", "/r")),
    ("run -d ID", ("run", ".", "ID", "")),
    ("--log create state ID", ("state", ".", "ID", "")),
    ("--systemd-cgroup start ID", ("start", ".", "ID", "")),
    ("exec ID sh -c true", ("exec", ".", "ID", "")),
    ("--version", ("", ".", "", "")),
    ("", ("", ".", "", "")),
])
def test_verb_bundle_container_and_state_folder_are_found_as_runc_finds_them(line, call):
    assert lowlevel.parsed(line.split()) == call


def test_a_container_that_is_made_is_noted_until_it_is_deleted(tmp_path):
    call = lowlevel.parsed(["--root", "/r", "create", "--bundle", str(tmp_path), "c1"])
    lowlevel.note(call, f"{tmp_path}/lowlevel/runc.real/runc")
    lowlevel.note(lowlevel.parsed(["create", "c1"]), f"{tmp_path}/lowlevel/runc.real/runc")
    lowlevel.forget(lowlevel.parsed(["delete", "--force", "c1"]), f"{tmp_path}/lowlevel/runc.real/runc")
    [noted] = (tmp_path / "containers").iterdir()
    assert json.loads(noted.read_text()) == {"program": f"{tmp_path}/lowlevel/runc.real/runc", "root": "/r", "id": "c1",
                                             "bundle": str(tmp_path)}
    lowlevel.forget(call, f"{tmp_path}/lowlevel/runc.real/runc")
    assert list((tmp_path / "containers").iterdir()) == []


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"root": 5}', '{"root": {"path": "r"}, "hooks": []}'])
def test_a_config_that_is_not_one_is_left_for_runc_to_refuse(tmp_path, content):
    config = tmp_path / "config.json"
    config.write_text(content)
    lowlevel.prepare(str(tmp_path), "/hook")
    assert config.read_text() == content


def test_a_host_without_a_driver_adds_no_hook(tmp_path, fs):
    fs.create_file("/b/config.json", contents=json.dumps({"root": {"path": "rootfs"}}))
    lowlevel.prepare("/b", "/lib/nvsim-kernel")
    with open("/b/config.json") as f:
        assert json.load(f) == {"root": {"path": "rootfs"}}


def test_the_kernel_hook_comes_first_and_only_once(fs):
    fs.create_dir("/proc/driver/nvidia")
    spec = {"root": {"path": "rootfs"}, "hooks": {"prestart": [{"path": "/usr/bin/nvidia-container-runtime-hook"}]}}
    fs.create_file("/b/config.json", contents=json.dumps(spec), st_mode=0o100640)
    for _ in range(2):
        lowlevel.prepare("/b", "/lib/nvsim-kernel")
    with open("/b/config.json") as f:
        hooks = json.load(f)["hooks"]["prestart"]
    assert [h["path"] for h in hooks] == ["/lib/nvsim-kernel", "/usr/bin/nvidia-container-runtime-hook"]
    assert hooks[0]["args"] == ["nvsim-kernel", "/b/rootfs"]
    assert fs.get_object("/b/config.json").st_mode & 0o7777 == 0o640


def test_what_a_runtime_was_told_is_kept_only_where_somebody_wants_it(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "log.json").write_text("said")
    arguments = ["--log", f"{tmp_path}/log.json", "create", "--bundle", str(tmp_path), "c1"]
    call, real = lowlevel.parsed(arguments), f"{tmp_path}/lowlevel/runc.real/runc"
    lowlevel.keep(call, real, lowlevel.log_of(arguments))
    assert not (tmp_path / "specs").exists()
    (tmp_path / "specs").mkdir()
    lowlevel.keep(call, real, lowlevel.log_of(arguments))
    kept = {path.name: path.read_text() for path in (tmp_path / "specs").iterdir()}
    assert kept == {"c1.json": "{}", "c1.log": "said"}


@pytest.mark.parametrize(("line", "log"), [("create c1", ""), ("--log=/l create c1", "/l"), ("-log /l create c1", "/l"),
                                           ("create --log", "")])
def test_the_log_is_what_the_command_line_names(line, log):
    assert lowlevel.log_of(line.split()) == log


def test_capabilities_that_nobody_here_can_give_are_not_asked_for(fs):
    fs.create_file("/proc/self/status", contents="CapBnd:\t000001fffeffffff\n")
    spec = {"process": {"capabilities": {"bounding": ["CAP_CHOWN", "CAP_SYS_RESOURCE", "CAP_SYS_TIME"]}}}
    lowlevel.grantable(spec)
    assert spec["process"]["capabilities"] == {"bounding": ["CAP_CHOWN", "CAP_SYS_TIME"]}
