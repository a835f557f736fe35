"""The reasons that `nvidia-ctk explain` gives."""

from typing import Any

import pytest

from toolkit.errors import HostError
from toolkit.model import ops
from toolkit.model.config import Config
from toolkit.plan import explain
from toolkit.plan.request import Image

UNPRIVILEGED = Config()._replace(accept_nvidia_visible_devices_envvar_when_unprivileged=False)
MOUNTS = Config()._replace(accept_nvidia_visible_devices_as_volume_mounts=True)
SWARM = Config()._replace(swarm_resource="DOCKER_RESOURCE_GPU")
FOLDER = "/var/run/nvidia-container-devices"


@pytest.mark.parametrize(("image", "config", "name", "because"), [
    (Image({"NVIDIA_VISIBLE_DEVICES": "0,2"}), Config(), "0, 2", "by NVIDIA_VISIBLE_DEVICES=0,2"),
    (Image({"DOCKER_RESOURCE_GPU": "GPU-1"}), SWARM, "GPU-1", "by DOCKER_RESOURCE_GPU=GPU-1"),
    (Image({"NVIDIA_VISIBLE_DEVICES": "none"}), Config(), "none", "by NVIDIA_VISIBLE_DEVICES=none"),
    (Image({"NVIDIA_VISIBLE_DEVICES": "all"}, (("/dev/null", f"{FOLDER}/3"),)), MOUNTS, "3", "by mounts of /dev/null"),
    (Image({"CUDA_VERSION": "8.0"}), Config(), "all", "it sets CUDA_VERSION and not NVIDIA_REQUIRE_CUDA"),
    (Image({}), Config(), "no GPU", "neither image nor command line sets NVIDIA_VISIBLE_DEVICES"),
    (Image({"NVIDIA_VISIBLE_DEVICES": "void"}), Config(), "no GPU", "NVIDIA_VISIBLE_DEVICES=void asks for nothing"),
    (Image({"NVIDIA_VISIBLE_DEVICES": "0"}), UNPRIVILEGED, "no GPU", "has no CAP_SYS_ADMIN"),
    (Image({"NVIDIA_VISIBLE_DEVICES": "0"}, privileged=True), UNPRIVILEGED, "0", "by NVIDIA_VISIBLE_DEVICES=0"),
])
def test_the_source_of_a_request_is_named(image: Image, config: Config, name: str, because: str) -> None:
    stop = explain.request_stop(image, config)
    assert stop.name == name and because in stop.because


def test_an_annotation_counts_before_a_variable() -> None:
    image = Image({"NVIDIA_VISIBLE_DEVICES": "0"}, (), {"cdi.k8s.io/pod": "nvidia.com/gpu=1"})
    stop = explain.request_stop(image, Config(), prefixes=("cdi.k8s.io/",))
    assert (stop.name, stop.because) == ("nvidia.com/gpu=1", "by annotation: cdi.k8s.io/pod")


@pytest.mark.parametrize(("mode", "requested", "devices", "options", "because"), [
    ("legacy", "legacy", ("0",), {}, 'nvidia-container-runtime.mode = "legacy"; '),
    ("cdi", "auto", ("nvidia.com/gpu=0",), {}, "every device is asked for by a CDI name; "),
    ("jit-cdi", "auto", ("0",), {}, 'mode = "auto", and nothing asks for another; '),
    ("csv", "auto", ("all",), {"tegra": True}, "this is a Tegra system; "),
    ("cdi", "cdi", ("0",), {"forced": "nvidia-container-runtime.cdi"}, "nvidia-container-runtime.cdi knows no other; "),
])
def test_the_reason_for_a_mode_is_named(mode: str, requested: str, devices: tuple[str, ...], options: dict[str, Any],
                                        because: str) -> None:
    stop = explain.mode_stop(mode, requested, devices, **options)
    assert stop.name == mode and stop.because.startswith(because)


def test_what_the_runtime_added_is_listed_with_its_origin() -> None:
    before: dict[str, Any] = {"process": {"env": ["A=1"]}, "mounts": [{"destination": "/proc", "source": "proc"}]}
    after = {"process": {"env": ["A=1", "B=2"], "user": {"additionalGids": [44]}},
             "mounts": [{"destination": "/proc", "source": "proc"}, {"destination": "/x", "source": "/root/x"}],
             "linux": {"devices": [{"path": "/dev/nvidia0", "type": "c", "major": 195, "minor": 0}]},
             "hooks": {"prestart": [{"path": "/bin/h", "args": ["h", "go"]}]}}
    assert explain.given_by_spec(before, after) == (
        explain.Given("device", "/dev/nvidia0", "c 195:0"), explain.Given("mount", "/x", "/root/x"),
        explain.Given("hook", "prestart: h go", "/bin/h"), explain.Given("variable", "B=2"),
        explain.Given("group", "44"))


def test_what_the_cli_does_is_listed_below_the_driver_root() -> None:
    operations = (
        ops.MountTmpfs(path="/proc/driver/nvidia"), ops.Bind(source="/lib/libcuda.so.1", path="/usr/lib64/l", flags=0),
        ops.Bind(source="/usr/local/cuda/compat/c", path="/usr/lib64/c", flags=0, origin="container"),
        ops.Bind(source="/dev/nvidia0", path="/dev/nvidia0", flags=0, kind="device", major=195, minor=0),
        ops.AllowDevice(195, 0), ops.Symlink(path="/a", target="b"), ops.RunLdconfig(path="/sbin/ldconfig", dirs=()))
    assert explain.given_by_cli(operations, "/run/nvidia/driver") == (
        explain.Given("mount", "/usr/lib64/l", "/run/nvidia/driver/lib/libcuda.so.1"),
        explain.Given("mount", "/usr/lib64/c", "/usr/local/cuda/compat/c"),
        explain.Given("device", "/dev/nvidia0", "c 195:0"), explain.Given("rule", "c 195:0 rw"),
        explain.Given("link", "/a -> b"),
        explain.Given("file", "/etc/ld.so.cache", "made by /sbin/ldconfig of the host"))


def test_what_is_left_out_has_a_reason() -> None:
    given = (explain.Given("device", "/dev/nvidia1", "c 195:1"),)
    assert explain.left_out_by_gpus(((0, "T4"), (1, "T4")), given) == (
        explain.LeftOut("/dev/nvidia0 (T4)", "the request does not name it"),)
    assert [item.what for item in explain.left_out_by_capabilities(("utility",), ("compute", "utility"), "legacy")] == [
        "files for compute"]
    assert explain.left_out_by_capabilities((), ("compute",), "jit-cdi") == ()
    notes = ("Could not locate x.so: x.so: not found\nx.so: not found", "Ignoring devices requested", "Something else")
    assert explain.left_out_by_notes(notes) == (
        explain.LeftOut("x.so", "not on this machine"), explain.LeftOut("a request", "Ignoring devices requested"))


def test_a_failure_is_the_outcome_with_its_remedy() -> None:
    found = explain.Explanation((explain.Stop("mode", "legacy", "x"),),
                                error=HostError("no driver", source="nvml", hint="install it"))
    found = found._replace(stops=(*found.stops, explain.outcome_stop(found)))
    text = explain.as_text(found)
    assert "outcome  the container does not start" in text and "nvml: no driver" in text and "install it" in text
    document = explain.as_document(found)
    assert document["starts"] is False and document["error"]["hint"] == "install it"


def test_the_text_shows_only_settings_that_somebody_made_and_the_mode() -> None:
    settings = explain.settings_of(UNPRIVILEGED, {"accept-nvidia-visible-devices-envvar-when-unprivileged": "file"})
    text = explain.as_text(explain.Explanation((explain.Stop("a", "b", "c"),), settings=settings))
    assert text.count(" (file)") == 1 and "nvidia-container-runtime.mode = auto  (default)" in text
    assert "disable-require" not in text
