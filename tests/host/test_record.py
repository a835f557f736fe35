"""`nvsim record` on hosts that are odd in some way; on those of profiles it is a line of test_profiles.py."""

import dataclasses
import subprocess
import sys

import pytest

from nvsim import build, profile, record_check
from nvsim import record as recording
from nvsim.machine import Machine

pytestmark = pytest.mark.host

VARIANTS = {
    "a_mismatch": "profile: t4x4\nkernel_driver: 535.261.03\npersistenced: false\n",
    "modules_without_libraries": "profile: t4x1\ncompat32: true\ndriver: none\nkernel_driver: 550.54.15\n",
    "libraries_without_modules": "profile: t4x1\nkernel_driver: none\n",
    "minors_in_another_order": "driver: 550.54.15\ngpus:\n  - {model: A100-SXM4-40GB, count: 3, minors: [2, 0, 1]}\n"
                               "nvswitches: false\nnuma_nodes: 2\n",
    "several_models": "driver: 580.105.08\nkernel_module: closed\ngpus:\n  - {model: T4, count: 2}\n  - model: L4\n"
                      "dev_char_links: true\n",
    "missing_nodes": "profile: a100x8\nabsent: [/dev/nvidia-uvm-tools, /dev/nvidia3]\n",
    "missing_libraries": "profile: t4x1\nabsent: [/usr/lib/x86_64-linux-gnu/libnvidia-encode.so*]\n",
    "a_passed_through_gpu": "profile: t4x1\nvirtualization: passthrough\n",
    "nodes_on_the_host_alone": "profile: a100x8-operator\ndev_root: /\n",
    "mps_on_kubernetes": "profile: t4x1-operator-host-driver\nmps: true\n",
    "storage_without_a_node": "profile: t4x1\ngds: true\ngdrcopy: true\nabsent: [/dev/gdrdrv]\nmofed: 2\n",
    "windows_stores": "profile: wsl2-rtx4060-hybrid\nwsl:\n  - {name: nvlti.inf_amd64_9a2c79b60d6607c6, wddm: 2700}\n"
                      "  - {name: iigd_dch.inf_amd64_73655f941b1dd71f, adapters: 2}\n"
                      "  - {name: oem.inf_amd64_73655f941b1dd71f, driver: 550.40.06}\n",
    "a_windows_library_is_missing": "profile: wsl2-rtx4090\nabsent: [/usr/lib/wsl/lib/libnvcuvid.so.1]\n",
    "another_version_with_the_links": "profile: two-driver-versions\nkernel_driver: 550.54.15\n"
                                      "leftover: {driver: 550.54.14, links: true}\n",
    "a_part_of_another_version": "profile: t4x1\nleftover: {driver: 535.261.03, only: [\"libcuda.so.*\"], "
                                 "ldcache: driver}\n",
    "no_gpus": "driver: 550.54.15\n",
    "mig_places": "driver: 550.54.15\ngpus:\n  - model: A100-SXM4-40GB\n    count: 2\n"
                  "    mig: {1: [\"1g.5gb:6\", {profile: 2g.10gb, start: 2, compute: []}]}\n",
}


def record(tmp_path, wanted, *words):
    """Standard output and error of `nvsim record` on a host."""
    root = str(tmp_path / "host")
    build.build(wanted, root)
    with Machine(root) as machine:
        done = machine.run([sys.executable, "-m", "nvsim", "record", *words])
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def test_what_no_recording_can_say_is_known():
    """A key that is added to profiles is recorded, or stands here with the reason, and in docs/profiles.md."""
    never = {"profile": "a way of writing", "placeholders": "what nvsim does without the right to make nodes",
             "boot": "what will come later shows on no machine", "tegra": "no file surely names the board of a Jetson",
             "links": "where a link should lead is not compared"}
    assert set(profile.KEYS) - set(recording.KEYS) <= set(never)


@pytest.mark.parametrize("name", VARIANTS)
def test_recording_an_odd_host_gives_back_what_is_odd_about_it(tmp_path, name):
    wanted = profile.parse(VARIANTS[name], f"{name}.yaml")
    text, _ = record(tmp_path, wanted)
    found = profile.parse(text, f"{wanted.name}.yaml")
    assert record_check.differences(found, wanted, recording.Kept()) == [], text


IDENTIFIED = """
profile: gb200x4
gpus:
  - model: GB200
    count: 2
    bus_ids: ["0008:01:00.0", "0009:01:00.0"]
    uuids: [GPU-11111111-2222-3333-4444-555555555555, GPU-66666666-7777-8888-9999-aaaaaaaaaaaa]
    serials: ["1650000000001", "1650000000002"]
files: {/etc/nvidia-imex/nodes_config.cfg: "gb-rack7-tray1.example.com\\n192.0.2.17\\n"}
"""
SECRETS = ("1111-", "6666-", "1650000000001", "1650000000002", "6d2f3c5a", "example.com", "192.0.2.17")


def test_what_identifies_the_machine_is_replaced(tmp_path):
    text, _ = record(tmp_path, profile.parse(IDENTIFIED, "rack7.yaml"))
    assert [secret for secret in SECRETS if secret in text] == []
    assert "10.0.0.1\n    10.0.0.2\n" in text


def test_serial_numbers_and_uuids_stay_on_request(tmp_path):
    wanted = profile.parse(IDENTIFIED, "rack7.yaml")
    text, _ = record(tmp_path, wanted, "--keep-uuids", "--keep-serials")
    found = profile.parse(text, "other.yaml")
    assert [(gpu.uuid, gpu.serial) for gpu in found.gpus] == [(gpu.uuid, gpu.serial) for gpu in wanted.gpus]
    assert found.fabric.cluster == wanted.fabric.cluster


def test_a_version_mismatch_is_recorded_with_a_note_of_what_nvml_did_not_say(tmp_path):
    text, notes = record(tmp_path, profile.parse(VARIANTS["a_mismatch"], "mismatch.yaml"))
    assert "kernel_driver: 535.261.03" in text
    assert notes == ("nvsim: NVLinks, MIG instances and fabric are not recorded: RM has detected an NVML/RM version "
                     "mismatch.\n")


def test_a_file_is_written_whole_and_not_over_another_one(tmp_path):
    root, target = str(tmp_path / "host"), tmp_path / "mine.yaml"
    build.build(profile.load("t4x1"), root)

    def run(*words: str) -> "subprocess.CompletedProcess[str]":
        return machine.run([sys.executable, "-m", "nvsim", "record", *words, str(target)])

    with Machine(root) as machine:
        assert run("--about", "mine").returncode == 0
        again, forced = run(), run("--about", "other", "--force")
    assert again.returncode == 1
    assert f"{target}: the file exists" in again.stderr
    assert forced.returncode == 0
    assert target.read_text().startswith("about: other\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["host", "mine.yaml"]


def failed(machine, *argv):
    """Standard error of a record that fails and prints nothing else."""
    done = machine.run([sys.executable, *argv])
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    return done.stderr


def test_a_gpu_that_the_catalogue_lacks_is_an_error_that_says_what_an_entry_needs(tmp_path):
    root = tmp_path / "host"
    build.build(profile.load("t4x1"), str(root))
    device = root / "sys/bus/pci/devices/0000:00:1e.0/device"
    device.chmod(0o644)
    device.write_text("0x2abc\n")
    with Machine(str(root)) as machine:
        said = failed(machine, "-m", "nvsim", "record")
    assert "GPU 0000:00:1e.0: the catalogue does not know this GPU: Tesla T4, PCI device 0x2ABC10DE" in said
    assert "nvsim/catalog/gpus.yaml" in said
    assert "pci_device_id" in said


def test_a_machine_is_checked_against_a_profile(tmp_path):
    root = str(tmp_path / "host")
    wanted = profile.changed("t4x4", {"driver": "550.54.15", "absent": ["/dev/nvidia2"], "mps": True, "files": {
        "/etc/nvidia-imex/config.cfg": "IMEX_CMD_PORT=50005\n"}})
    build.build(wanted, root)
    with Machine(root) as machine:
        (tmp_path / "same.yaml").write_text(machine.run([sys.executable, "-m", "nvsim", "record"]).stdout)
        same, other, missing = (machine.run([sys.executable, "-m", "nvsim", "record", "--check", *words]) for words in (
            [str(tmp_path / "same.yaml")], ["t4x4"], ["no-such-profile"]))
    assert (same.returncode, same.stdout) == (0, "")
    assert other.returncode == 1
    assert other.stdout.splitlines() == [
        "driver: 550.54.15 here, 580.173.02 in the profile",
        "kernel_driver: 550.54.15 here, 580.173.02 in the profile",
        "kernel_module: closed here, open in the profile",
        "extras.mps: true here, false in the profile",
        "absent: /dev/nvidia2 here, none in the profile",
        "files: /etc/nvidia-imex/config.cfg: IMEX_CMD_PORT=50005 here, none in the profile"]
    assert (missing.returncode, missing.stdout) == (1, "")


def test_the_gpus_of_a_check_are_named_and_uuids_count_on_request(tmp_path):
    root = str(tmp_path / "host")
    build.build(profile.parse(IDENTIFIED, "rack7.yaml"), root)
    other = tmp_path / "rack7.yaml"
    other.write_text(IDENTIFIED.replace("GPU-1111", "GPU-2222").replace("0009:01:00.0", "0019:01:00.0"))
    with Machine(root) as machine:
        plain, kept = (machine.run([sys.executable, "-m", "nvsim", "record", "--check", str(other), *words])
                       for words in ([], ["--keep-uuids"]))
    moved = "gpus[1].bus_id: 0009:01:00.0 here, 0019:01:00.0 in the profile"
    uuid = "gpus[0].uuid: GPU-11111111-2222-3333-4444-555555555555 here, GPU-22221111-2222-3333-4444-555555555555"
    names = "files[1][1]: 10.0.0.1 10.0.0.2 here, gb-rack7-tray1.example.com 192.0.2.17 in the profile"
    assert (plain.returncode, plain.stdout.splitlines()) == (1, [moved, names])
    assert kept.stdout.splitlines() == [f"{uuid} in the profile", moved, names]


def test_a_wsl_2_machine_whose_windows_has_another_driver_is_recorded_with_a_note(tmp_path):
    root = str(tmp_path / "host")
    build.build(profile.load("wsl2-rtx4090"), root)
    subprocess.run([sys.executable, "-m", "nvsim", "ctl", "--host", root, "driver", "upgrade", "560.94"], check=True)
    with Machine(root) as machine:
        done = machine.run([sys.executable, "-m", "nvsim", "record"])
    assert done.returncode == 0, done.stderr
    assert "not recorded: The operating system has blocked the request." in done.stderr
    store, = profile.parse(done.stdout, "wsl2-rtx4090.yaml").wsl
    assert store == dataclasses.replace(profile.load("wsl2-rtx4090").wsl[0], windows_driver="555.99")


def test_a_gpu_that_fell_off_the_bus_is_recorded_and_noted_another_failure_of_nvml_ends_it(tmp_path):
    root = str(tmp_path / "host")
    build.build(profile.load("a10gx4"), root)
    ctl = [sys.executable, "-m", "nvsim", "ctl", "--host", root, "set", "gpu=2"]
    with Machine(root) as machine:
        subprocess.run([*ctl, "fault=15"], check=True)
        lost = machine.run([sys.executable, "-m", "nvsim", "record"])
        subprocess.run([*ctl, "fault=999"], check=True)
        said = failed(machine, "-m", "nvsim", "record")
    found = profile.parse(lost.stdout, "a10gx4.yaml")
    assert record_check.differences(found, profile.load("a10gx4"), recording.Kept()) == []
    assert lost.stderr == "nvsim: NVML does not know the GPU at 0000:00:1d.0\n"
    assert said.startswith("nvsim: GPU 0000:00:1d.0: NVML: Unknown Error\n")


def test_without_nvidia_ml_py_the_error_says_how_to_get_it(tmp_path):
    root = str(tmp_path / "host")
    build.build(profile.load("t4x1"), root)
    program = "import sys; sys.modules['pynvml'] = None; from nvsim.cli import main; sys.exit(main(['record']))"
    with Machine(root) as machine:
        assert "hint: pip install 'gpu-container-harness[record]'" in failed(machine, "-c", program)
