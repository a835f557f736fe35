"""`nvsim ctl mig`, the board, /proc and /dev of a built host say the same."""

import os

import pytest

from nvsim import board, build, capabilities, profile
from nvsim.ctl import verbs
from nvsim.errors import NvsimError

CASE = {"driver": "550.54.15", "gpus": [{"model": "A100-SXM4-40GB", "count": 2, "minors": ["1", "0"],
                                         "mig": {"1": ["1g.5gb"]}}]}
TOP = "proc/driver/nvidia/capabilities"


class Host:
    def __init__(self, root, **changes):
        self.root = root
        self.machine = build.build(profile.of({**CASE, **changes}, "test", name="small"), root, nodes=False)

    def ctl(self, line):
        return verbs.parse(["mig", *line.split()]).apply(self.root)

    def shown(self):
        """Access files by path below the capabilities folder, with the minor that each names."""
        found = {}
        for folder, _, files in os.walk(f"{self.root}/{TOP}"):
            for name in files:
                path = os.path.join(folder, name)
                if name == "access":
                    with open(path) as f:
                        found[os.path.relpath(path, f"{self.root}/{TOP}")] = int(f.readline().split()[1])
        return found

    def nodes(self):
        names = os.listdir(f"{self.root}/dev/nvidia-caps")
        return {int(name.removeprefix("nvidia-cap")) for name in names} - {1, 2}

    def board(self, index):
        path = next(p for p in self.machine.boards if "nvidia-ml" in p)
        return board.read(self.root + path).gpus[index]


@pytest.fixture
def host(tmp_path):
    return lambda **changes: Host(str(tmp_path / "host"), **changes)


def test_files_and_nodes_follow_what_is_created_and_destroyed(host):
    small = host()
    assert small.shown() == {"gpu0/mig/gi13/access": 120, "gpu0/mig/gi13/ci0/access": 121}
    small.ctl("enable 0")
    assert small.ctl("create 0 3g.20gb 1g.5gb -C") == [
        "GPU 0 (0000:07:00.0): created GPU instance 2, 3g.20gb, with compute instance 2/0",
        "GPU 0 (0000:07:00.0): created GPU instance 7, 1g.5gb, with compute instance 7/0"]
    assert small.shown() == capabilities.shown(small.board(i) for i in (0, 1))
    assert small.shown()["gpu1/mig/gi2/ci0/access"] == 3 + 135 + 18 + 1
    assert small.nodes() == set(small.shown().values())
    assert os.stat(f"{small.root}/{TOP}/gpu1/mig/gi2/access").st_mode & 0o777 == 0o444
    small.ctl("destroy 0 2/0")
    assert "gpu1/mig/gi2/ci0/access" not in small.shown() and "gpu1/mig/gi2/access" in small.shown()
    small.ctl("destroy 0")
    small.ctl("destroy 1")
    assert (small.shown(), small.nodes()) == ({}, set())


def test_a_compute_instance_is_created_by_name_within_its_instance(host):
    small = host()
    small.ctl("enable 0")
    small.ctl("create 0 3g.20gb")
    assert small.ctl("create 0 2/1c.3g.20gb") == ["GPU 0 (0000:07:00.0): created compute instance 2/0, 1c.3g.20gb"]
    assert small.ctl("create 0 2/2c.3g.20gb:1")[0].endswith("created compute instance 2/1, 2c.3g.20gb")
    assert [line.split(",")[0] for line in small.ctl("list 0")] == [
        "GPU 0 (0000:07:00.0): MIG on", "  GPU instance 2: 3g.20gb at 4:4",
        "    compute instance 2/0: 1c.3g.20gb at 0:1", "    compute instance 2/1: 2c.3g.20gb at 1:2"]


@pytest.mark.parametrize(("line", "said"), [
    ("create 0 1g.5gb", "MIG mode is off: Not Supported"), ("create 1 7g.40gb", "Insufficient Resources"),
    ("create 1 1g.5gb 7g.40gb", "Insufficient Resources"), ("create 1 1g.6gb", "no MIG profile"),
    ("create 1 1g.5gb:7", "Invalid Argument"), ("create 1 2/1g.5gb", "Not Found"), ("destroy 1 13", "In use"),
    ("destroy 1 2", "Not Found"), ("destroy 1 13/1", "Not Found"), ("destroy 0", "Not Found"),
    ("disable 1", "In use by another client")])
def test_what_the_driver_refuses_is_refused_and_changes_nothing(host, line, said):
    small = host()
    before = (small.board(0), small.board(1), small.shown())
    with pytest.raises(NvsimError, match=said):
        small.ctl(line)
    assert (small.board(0), small.board(1), small.shown()) == before


@pytest.mark.parametrize("line", ["", "enable", "enable 0 1g.5gb", "create 0", "create 0 1g.5gb -D",
                                  "create 0 1g.5gb:x", "destroy 0 a", "destroy 0 1/2/3", "list 0 1"])
def test_a_line_that_is_not_understood_is_an_error(host, line):
    with pytest.raises(NvsimError):
        host().ctl(line)


def test_a_reset_takes_the_instances_and_their_files_away(host):
    small = host()
    verbs.parse(["reset", "gpu=1"]).apply(small.root)
    assert (small.shown(), small.board(1).gi_size) == ({}, (0,) * 8)


@pytest.mark.parametrize(("model", "profile_name", "line", "mode"), [
    ("A100-SXM4-40GB", "1g.5gb", "driver unload", 1), ("H100-SXM5-80GB", "1g.10gb", "driver unload", 0),
    ("H100-SXM5-80GB", "1g.10gb", "recover gpu=0", 0), ("A100-SXM4-40GB", "1g.5gb", "recover gpu=0", 1)])
def test_no_instance_outlives_the_driver_and_only_ampere_remembers_its_mode(host, model, profile_name, line, mode):
    small = host(gpus=[{"model": model, "mig": {"0": [profile_name]}}])
    verbs.parse(line.split()).apply(small.root)
    if "unload" in line:
        verbs.parse(["driver", "load"]).apply(small.root)
    assert (small.board(0).mig_mode, small.shown(), small.nodes()) == (mode, {}, set())


def test_what_the_profile_took_away_stays_away(host):
    small = host(absent=["/proc/driver/nvidia/capabilities/gpu1/mig", "/dev/nvidia-caps/nvidia-cap120"])
    small.ctl("enable 0")
    small.ctl("create 0 1g.5gb")
    assert "gpu1/mig/gi13/access" not in small.shown()
    assert 120 not in small.nodes()


def test_events_tell_of_each_change(host):
    small = host()
    small.ctl("enable 0")
    small.ctl("create 0 1g.5gb")
    assert (small.board(0).event_count, small.board(0).event_type[:2]) == (2, (256, 256))
