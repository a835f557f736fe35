"""nvidia-container-runtime in front of the real runc: what a process in the container sees."""

import json
import os
import shutil
import signal
import stat
import subprocess
import time

import pytest

from nvsim import build, profile
from nvsim.machine import Machine
from toolkit import launchers

pytestmark = pytest.mark.host
HOOK = """#!/bin/sh
echo "$0" "$@" > {folder}/hook.argv
cat > {folder}/hook.state
exit {code}
"""


class Place:
    """Launchers, a configuration and bundles in one folder; containers are deleted at the end."""

    def __init__(self, folder):
        self.folder, self.started = folder, []
        self.run_here = subprocess.Popen
        launchers.install(str(folder / "bin"))
        self.environment = {
            "PATH": f"{folder}/bin:{os.environ['PATH']}:/usr/sbin:/sbin",
            "NVIDIA_CTK_CONFIG_FILE_PATH": str(folder / "config.toml"),
        }
        self.configure("")

    def configure(self, text):
        (self.folder / "config.toml").write_text(text)

    def bundle(self, name, *script, env=()):
        """A busybox bundle that runs a shell script."""
        folder = self.folder / name
        (folder / "rootfs/bin").mkdir(parents=True)
        shutil.copy(shutil.which("busybox"), folder / "rootfs/bin/busybox")
        (folder / "rootfs/bin/sh").symlink_to("busybox")
        subprocess.run(["runc", "spec"], cwd=folder, check=True)
        spec = json.loads((folder / "config.json").read_text())
        spec["process"].update(terminal=False, args=["/bin/sh", "-c", "\n".join(script)])
        spec["process"]["env"] += env
        spec["root"]["readonly"] = False
        (folder / "config.json").write_text(json.dumps(spec))
        return folder

    def call(self, *args, program="nvidia-container-runtime", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
        command = [f"{self.folder}/bin/{program}", "--root", f"{self.folder}/state", *args]
        return self.run_here(command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, env=self.environment)

    def create(self, bundle, *flags, **options):
        """Starts `create`.  The container inherits its output, so that goes to the files `out` and `err`."""
        name = f"rt-{os.getpid()}-{bundle.name}"
        self.started.append(name)
        with open(bundle / "out", "w") as out, open(bundle / "err", "w") as err:
            return name, self.call(*flags, "create", "--bundle", str(bundle), name, stdout=out, stderr=err, **options)

    def output(self, bundle, *flags, **options):
        """Create, start, wait: what the container printed."""
        name, process = self.create(bundle, *flags, **options)
        assert process.wait(timeout=60) == 0, (bundle / "err").read_text()
        return self.finish(name, bundle)

    def finish(self, name, bundle):
        assert self.call("start", name).wait(timeout=60) == 0
        deadline = time.monotonic() + 30
        while self.status(name) != "stopped":
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return (bundle / "out").read_text()

    def status(self, name):
        process = self.call("state", name, stdout=subprocess.PIPE)
        return json.loads(process.communicate(timeout=60)[0])["status"]

    def close(self):
        for name in self.started:
            self.call("delete", "--force", name).wait(timeout=60)


@pytest.fixture
def place(tmp_path, requires):
    requires("root", "runc", "busybox")
    place = Place(tmp_path)
    yield place
    place.close()


def cdi_spec(folder, count):
    """A specification of `count` devices that tell themselves apart by a variable and a mounted file."""
    devices = []
    for i in range(count):
        (folder / f"file{i}").write_text(f"file {i}\n")
        devices.append(
            {
                "name": str(i),
                "containerEdits": {
                    "env": [f"DEVICE={i}"],
                    "mounts": [
                        {"hostPath": f"{folder}/file{i}", "containerPath": "/device", "options": ["ro", "rbind"]}
                    ],
                },
            }
        )
    (folder / "cdi").mkdir()
    (folder / "cdi/example.json").write_text(
        json.dumps(
            {
                "cdiVersion": "0.5.0",
                "kind": "example.com/device",
                "devices": devices,
                "containerEdits": {"deviceNodes": [{"path": "/dev/example", "hostPath": "/dev/null"}]},
            }
        )
    )
    dirs = f'[nvidia-container-runtime.modes.cdi]\nspec-dirs = ["{folder}/cdi"]\n'
    return f'[nvidia-container-runtime]\nmode = "cdi"\n{dirs}'


@pytest.mark.parametrize(
    ("program", "mode"), [("nvidia-container-runtime", "legacy"), ("nvidia-container-runtime.legacy", "auto")]
)
def test_legacy_mode_has_the_prestart_hook_run(place, program, mode):
    hook = place.folder / "bin/nvidia-container-runtime-hook"
    hook.write_text(HOOK.format(folder=place.folder, code=0))
    place.configure(f'[nvidia-container-runtime]\nmode = "{mode}"\n')
    bundle = place.bundle("legacy", "echo $NVIDIA_VISIBLE_DEVICES", env=["NVIDIA_VISIBLE_DEVICES=all"])
    assert place.output(bundle, program=program) == "all\n"
    assert (place.folder / "hook.argv").read_text() == f"{hook} prestart\n"
    state = json.loads((place.folder / "hook.state").read_text())
    assert state["bundle"] == str(bundle)


def test_a_failing_hook_stops_the_container_with_its_words(place):
    hook = place.folder / "bin/nvidia-container-runtime-hook"
    hook.write_text("#!/bin/sh\necho 'nvidia-container-cli: no luck' >&2\nexit 1\n")
    place.configure('[nvidia-container-runtime]\nmode = "legacy"\n')
    bundle = place.bundle("fails", "true")
    _, process = place.create(bundle)
    assert process.wait(timeout=60) == 1
    assert "nvidia-container-cli: no luck" in (bundle / "err").read_text()


def test_a_cdi_device_reaches_the_container(place):
    place.configure(cdi_spec(place.folder, 2))
    bundle = place.bundle(
        "cdi",
        "echo $DEVICE; /bin/busybox cat /device; /bin/busybox stat -c %t:%T /dev/example",
        env=["NVIDIA_VISIBLE_DEVICES=example.com/device=1"],
    )
    before = (bundle / "config.json").stat()
    (bundle / "config.json").chmod(0o640)
    assert place.output(bundle) == "1\nfile 1\n1:3\n"
    after = (bundle / "config.json").stat()
    assert (stat.S_IMODE(after.st_mode), after.st_uid) == (0o640, before.st_uid)


def test_twenty_creates_at_once_do_not_mix_up_their_specs(place):
    place.configure(cdi_spec(place.folder, 20))
    bundles = [
        place.bundle(
            f"many{i}", "echo $DEVICE; /bin/busybox cat /device", env=[f"NVIDIA_VISIBLE_DEVICES=example.com/device={i}"]
        )
        for i in range(20)
    ]
    running = [place.create(bundle) for bundle in bundles]
    codes = [process.wait(timeout=120) for _, process in running]
    assert [(bundle / "err").read_text() for bundle, code in zip(bundles, codes, strict=True) if code] == []
    outputs = [place.finish(name, bundle) for (name, _), bundle in zip(running, bundles, strict=True)]
    assert outputs == [f"{i}\nfile {i}\n" for i in range(20)]


def test_an_error_reaches_the_engines_log_and_leaves_the_bundle_alone(place):
    place.configure(cdi_spec(place.folder, 1))
    bundle = place.bundle("unknown", "true", env=["NVIDIA_VISIBLE_DEVICES=example.com/device=7"])
    before = (bundle / "config.json").read_bytes()
    log = bundle / "log.json"
    _, process = place.create(bundle, "--log", str(log), "--log-format", "json")
    code = process.wait(timeout=60)
    message = (
        "could not apply required modification to OCI specification: error modifying OCI spec: failed to inject "
        "CDI devices: unresolvable CDI devices example.com/device=7"
    )
    errors = [json.loads(line) for line in log.read_text().splitlines() if '"level":"error"' in line]
    assert code == 1
    assert [entry["msg"] for entry in errors] == [message]
    assert f'level=error msg="{message}"' in (bundle / "err").read_text()
    assert (bundle / "config.json").read_bytes() == before
    assert sorted(os.listdir(bundle)) == ["config.json", "err", "log.json", "out", "rootfs"]


def test_a_create_killed_at_any_moment_leaves_a_whole_config(place):
    place.configure(cdi_spec(place.folder, 1))
    bundle = place.bundle("killed", "true", env=["NVIDIA_VISIBLE_DEVICES=example.com/device=0"])
    original = (bundle / "config.json").read_bytes()
    place.configure(
        (place.folder / "config.toml").read_text().replace('mode = "cdi"', 'mode = "cdi"\nruntimes = ["/bin/true"]')
    )
    assert place.create(bundle)[1].wait(timeout=60) == 0
    edited = (bundle / "config.json").read_bytes()
    for attempt in range(20):
        (bundle / "config.json").write_bytes(original)
        _, process = place.create(bundle)
        time.sleep(attempt * 0.004)
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=60)
        assert (bundle / "config.json").read_bytes() in (original, edited)
    place.started.clear()


def test_jit_cdi_on_an_emulated_machine_gives_the_gpu_that_was_asked_for(place):
    build.build(profile.load("a100x8"), str(place.folder / "root"))
    bundle = place.bundle(
        "jit",
        "echo /dev/nvidia[0-9]*; echo $NVIDIA_VISIBLE_DEVICES; /bin/busybox ls /usr/bin",
        env=["NVIDIA_VISIBLE_DEVICES=2"],
    )
    with Machine(str(place.folder / "root")) as machine:
        place.run_here = machine.popen
        try:
            output = place.output(bundle).splitlines()
        finally:
            place.close()
            place.started.clear()
    assert output[:2] == ["/dev/nvidia2", "void"]
    assert "nvidia-smi" in output
