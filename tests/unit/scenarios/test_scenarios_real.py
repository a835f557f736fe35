"""The target real: what this machine has, which cases fit it, what of them becomes this machine's."""

from pathlib import Path

import pytest

from nvsim.errors import NvsimError
from scenarios import model, real

HERE = real.Real(driver="570.133.20", gpus=(real.Gpu(uuid="GPU-real", minor=0, bus_id="0000:41:00.0", mig=False,
                                                        name="NVIDIA L40S"),))
CASE = """
about: on driver 550.54.15
host: {profile: t4x1, driver: 550.54.15}
steps:
  - run: docker run -e NVIDIA_VISIBLE_DEVICES=UUID debian nvidia-smi
    expect: {stdout: {contains: "Tesla T4 | Driver Version: 550.54.15"}}
"""


def case(text: str, path: Path) -> model.Case:
    path.write_text(text)
    return model.load_file(str(path))[0]


def test_uuids_and_versions_become_those_of_this_machine(tmp_path: Path) -> None:
    there = case(CASE, tmp_path / "c.yaml").host.gpus[0].uuid
    one = real.translated(case(CASE.replace("UUID", there), tmp_path / "c.yaml"), HERE)
    assert one.steps[0].run and one.steps[0].run.env == (("NVIDIA_VISIBLE_DEVICES", "GPU-real"),)
    assert one.steps[0].expect.words["stdout"].contains == ("NVIDIA L40S | Driver Version: 570.133.20",)
    assert one.about == "on driver 550.54.15" and one.host.driver == "550.54.15"


@pytest.mark.parametrize(("host", "steps", "reason"), [
    ("t4x1", "[{host: 'true'}]", ""),
    ("a100x8", "[{host: 'true'}]", "it needs 8 GPUs; this machine has 1"),
    ("no-driver", "[{host: 'true'}]", "it needs a machine without a driver"),
    ("{profile: t4x1, absent: [/dev/nvidia-uvm]}", "[{host: 'true'}]", "it needs a machine of its kind: absent"),
    ("{profile: t4x1, driver_root: /run/nvidia/driver}", "[{host: 'true'}]", "of its kind: driver_root"),
    ("t4x1", "[{run: docker run --gpus all debian}]", ""),
    ("t4x1", "[{ctl: xid gpu=0 79}]", "it changes the machine while it runs"),
])
def test_a_case_that_needs_another_machine_says_which(host: str, steps: str, reason: str) -> None:
    said = real.unfit(model.parse(f"about: x\nhost: {host}\nsteps: {steps}\n", "c.yaml")[0], HERE)
    assert reason in said and bool(reason) == bool(said)


@pytest.mark.parametrize(("script", "said"), [
    ("echo 'NVIDIA-SMI has failed because it could not communicate with the driver'; exit 9", "could not communicate"),
    ("echo 'No devices were found'", "No devices were found"),
    ("exit 0", "nvidia-smi says nothing"),
])
def test_a_machine_without_a_gpu_that_answers_is_refused(script: str, said: str, tmp_path: Path,
                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\n{script}\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(NvsimError, match=said):
        real.look()
    (tmp_path / "nvidia-smi").unlink()
    with pytest.raises(NvsimError, match="there is no nvidia-smi on this machine"):
        real.look()


def test_what_nvidia_smi_says_is_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nvidia-smi").write_text(
        "#!/bin/sh\necho '0, GPU-a, 550.54.15, 00000000:07:00.0, Disabled, Tesla T4'\n"
        "echo '1, GPU-b, 550.54.15, 00000000:0F:00.0, Enabled, Tesla T4'\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert real.look() == real.Real(driver="550.54.15", gpus=(
        real.Gpu(uuid="GPU-a", minor=-1, bus_id="0000:07:00.0", mig=False, name="Tesla T4"),
        real.Gpu(uuid="GPU-b", minor=-1, bus_id="0000:0f:00.0", mig=True, name="Tesla T4")))


@pytest.mark.parametrize(("line", "reason"), [
    ("docker run -e NVIDIA_VISIBLE_DEVICES=0 debian", ""),
    ("docker run -e NVIDIA_VISIBLE_DEVICES=all debian", "it asks for all of 1 GPUs; this machine has 2"),
    ("docker run --runtime=nvidia nvidia/cuda:12.4", "it asks for all of 1 GPUs; this machine has 2"),
    ("docker run --device nvidia.com/gpu=all debian", "it asks for all of 1 GPUs; this machine has 2"),
])
def test_what_all_means_depends_on_the_machine(line: str, reason: str) -> None:
    two = real.Real(driver="550.54.15", gpus=HERE.gpus * 2)
    one = model.parse(f"about: x\nhost: t4x1\nsteps: [{{run: '{line}'}}]\n", "c.yaml")[0]
    assert real.unfit(one, two) == reason
