"""The probe: what it says about this machine, compared with what Python sees."""

import hashlib
import json
import os
import shutil
import socket
import stat
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nvsim import board
from nvsim.models import board_gpu
from nvsim.native.compile import compile_all

NO_NUL = st.binary(max_size=40).map(lambda b: b.replace(b"\0", b"\x80"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with both halves of the probe, named as in a container."""
    folder = tmp_path_factory.mktemp("nvsim")
    shutil.copy(compile_all("nvsim-probe")[0], folder / "probe")
    shutil.copy(compile_all("nvsim-probe-dl")[0], folder / "probe-dl")
    return folder


@pytest.fixture(scope="module")
def probe(folder):
    """Runs the probe; its report."""

    def run(*args, env=None, cwd=None, program="probe"):
        done = subprocess.run([str(folder / program), *args], env=env, cwd=cwd, capture_output=True, check=True)
        assert done.stderr == b"" and done.stdout.isascii()
        return json.loads(done.stdout)

    return run


def test_the_report_says_who_and_where_the_process_is(probe, tmp_path):
    report = probe(cwd=tmp_path)
    assert (report["version"], report["uid"], report["cwd"]) == (1, os.getuid(), str(tmp_path))


@settings(max_examples=40)
@given(value=NO_NUL, name=NO_NUL.map(lambda b: b.replace(b"=", b"_") or b"_"))
def test_any_bytes_of_the_environment_come_back(probe, name, value):
    report = probe(env={name: value})
    assert {os.fsencode(k): os.fsencode(v) for k, v in report["env"].items()} == {name: value}


@settings(max_examples=40)
@given(content=st.binary(max_size=300))
def test_any_content_of_a_file_is_summed_and_shown_if_it_is_text(probe, tmp_path_factory, content):
    path = tmp_path_factory.mktemp("content") / "file"
    path.write_bytes(content)
    seen = probe("--file", str(path))["files"][str(path)]
    assert seen["sha256"] == hashlib.sha256(content).hexdigest()
    try:
        text = content.decode()
    except UnicodeDecodeError:
        text = None
    assert seen.get("text") == text


@pytest.mark.parametrize("size", [0, 55, 56, 63, 64, 65, 119, 4096, 4097, 1 << 20])
def test_the_sum_is_right_at_every_block_border(probe, tmp_path, size):
    (tmp_path / "file").write_bytes(b"x" * size)
    seen = probe("--file", str(tmp_path / "file"))["files"][str(tmp_path / "file")]
    assert seen["sha256"] == hashlib.sha256(b"x" * size).hexdigest()
    assert ("text" in seen, seen["size"]) == (size <= 4096, size)


def test_a_file_above_a_mebibyte_has_no_sum(probe, tmp_path):
    (tmp_path / "file").write_bytes(b"x" * ((1 << 20) + 1))
    seen = probe("--file", str(tmp_path / "file"))["files"][str(tmp_path / "file")]
    assert "sha256" not in seen and "text" not in seen and seen["size"] == (1 << 20) + 1


def test_files_of_every_kind_are_named(probe, tmp_path):
    (tmp_path / "folder").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to("folder")
    (tmp_path / "dangling").symlink_to("nowhere")
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        names = ["folder", "link", "dangling", "fifo", "socket", "gone", "folder/gone", "fifo/gone"]
        words = [word for name in names for word in ("--file", str(tmp_path / name))]
        files = probe(*words, "--file", "/dev/null")["files"]
    seen = [files[str(tmp_path / name)] for name in names]
    assert [f["type"] for f in seen] == ["dir", "link", "link", "fifo", "socket", "missing", "missing", "missing"]
    assert (seen[0]["mode"], seen[1]["link"], seen[1]["resolved"]) == (0o700, "folder", str(tmp_path / "folder"))
    assert (seen[2]["link"], seen[2]["resolved"]) == ("nowhere", None)
    assert files["/dev/null"]["type"] == "char"


def test_a_path_that_cannot_be_looked_at_has_the_reason(probe, tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    path = str(tmp_path / "loop" / "file")
    assert probe("--file", path)["files"][path] == {"type": "unknown", "error": "ELOOP"}


def test_the_mounts_are_those_of_mountinfo(probe):
    with open("/proc/self/mountinfo", "rb") as file:
        lines = [line.split() for line in file]
    mounts = probe()["mounts"]
    assert [os.fsencode(m["target"]) for m in mounts] == [
        fields[4].decode("unicode_escape").encode("latin-1") for fields in lines]
    assert [m["options"][0] for m in mounts] == [fields[5].decode().split(",")[0] for fields in lines]
    assert all(len(set(m["options"])) == len(m["options"]) for m in mounts)


def test_the_devices_are_those_of_the_machine(probe):
    devices = {d["path"]: d for d in probe()["devices"]}
    null = devices["/dev/null"]
    assert (null["type"], null["major"], null["minor"], null["open"]) == ("c", 1, 3, "ok")
    assert null["mode"] == stat.S_IMODE(os.stat("/dev/null").st_mode)
    assert list(devices) == sorted(devices)
    assert {d["open"] for d in devices.values() if d.get("major") in (4, 5, 136)} <= {None}
    assert all(d["open"] is None for d in devices.values() if d["type"] == "b")
    links = {path: d["link"] for path, d in devices.items() if d["type"] == "l"}
    assert links == {path: os.readlink(path) for path in links}


def test_a_program_is_run_with_its_status_and_output(probe):
    report = probe("--exec", "sh", "-c", "echo out; echo err >&2; exit 3")
    assert report["exec"] == {"exit": 3, "stdout": "out\n", "stderr": "err\n"}


def test_a_killed_program_has_the_status_that_a_shell_gives_it(probe):
    assert probe("--exec", "sh", "-c", "kill -9 $$")["exec"]["exit"] == 137


def test_a_program_that_is_not_there_is_reported(probe):
    assert probe("--exec", "/nonexistent")["exec"] == {"exit": 127, "error": "ENOENT", "stdout": "", "stderr": ""}


def test_long_output_is_cut_and_does_not_block(probe):
    seen = probe("--exec", "sh", "-c", "head -c 3000000 /dev/zero; head -c 3000000 /dev/zero >&2")["exec"]
    assert (seen["exit"], len(seen["stdout"]), len(seen["stderr"])) == (0, 1 << 20, 1 << 20)


def test_output_that_is_not_text_comes_back(probe):
    assert os.fsencode(probe("--exec", "printf", r"\377\200ok")["exec"]["stdout"]) == b"\xff\x80ok"


@pytest.mark.parametrize("args", [["--what", "x"], ["--file"], ["--exec"]])
def test_a_wrong_command_line_is_refused(folder, args):
    done = subprocess.run([str(folder / "probe"), *args], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "") and args[0] in done.stderr


def test_libraries_are_those_that_the_loader_finds(probe):
    libraries = probe("--lib", "libm.so.6", "--lib", "libnowhere.so.1")["libraries"]
    with open(libraries["libm.so.6"]["path"], "rb") as file:
        assert file.read(4) == b"\x7fELF" and file.name.endswith("/libm.so.6")
    assert libraries["libnowhere.so.1"] == {
        "error": "libnowhere.so.1: cannot open shared object file: No such file or directory"}


def test_a_library_that_crashes_does_not_hide_the_others(probe, tmp_path):
    source, library = tmp_path / "crash.c", tmp_path / "libcrash.so"
    source.write_text("__attribute__((constructor)) static void crash(void) { __builtin_trap(); }\n")
    subprocess.run([sys.executable, "-m", "ziglang", "cc", "-target", "x86_64-linux-gnu.2.17", "-shared", "-fPIC",
                    str(source), "-o", str(library)], check=True)
    libraries = probe("--lib", str(library), "--lib", "libm.so.6")["libraries"]
    assert libraries[str(library)] == {"error": "killed by signal 4"}
    assert "path" in libraries["libm.so.6"]


def test_without_the_dynamic_half_the_report_says_so(folder, probe):
    shutil.copy(folder / "probe", folder / "alone")
    report = probe("--lib", "libm.so.6", program="alone")
    assert (report["libraries"], report["nvml"]) == ({}, {"error": "no dynamic half beside the probe"})


def test_nvml_is_seen_as_by_a_program(probe, tmp_path):
    library = str(tmp_path / "libnvidia-ml.so.1")
    shutil.copy(compile_all("libnvidia-ml.so")[0], library)
    uuids = [f"GPU-00000000-0000-0000-0000-{i:012x}" for i in range(2)]
    gpus = tuple(board_gpu("A100-SXM4-40GB", index=i, minor=1 - i, uuid=uuid, bus_id=f"0000:{i + 7:02x}:00.0")
                 for i, uuid in enumerate(uuids))
    board.write(library, board.Board(driver_version="550.54.15", cuda_version="12.4", dev_root=str(tmp_path),
                                     gpus=gpus))
    (tmp_path / "dev").mkdir()
    for name in ("nvidiactl", "nvidia0", "nvidia1"):
        (tmp_path / "dev" / name).touch()
    board.update(library, 1, temperature=77)
    env = {"LD_LIBRARY_PATH": str(tmp_path)}
    nvml = probe(env=env)["nvml"]
    assert (nvml["init"], nvml["init_text"]) == (0, "Success")
    assert (nvml["driver"], nvml["nvml"]) == ("550.54.15", "12.550.54.15")
    assert [gpu["uuid"] for gpu in nvml["gpus"]] == uuids
    assert nvml["gpus"][1] == {"index": 1, "uuid": uuids[1], "name": "NVIDIA A100-SXM4-40GB", "minor": 0,
                               "bus_id": "00000000:08:00.0", "temperature": 77, "memory_mib": 40960, "error": 0}
    (tmp_path / "dev" / "nvidiactl").unlink()
    assert probe(env=env)["nvml"] == {"init": 9, "init_text": "Driver Not Loaded"}
