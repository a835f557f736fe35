"""What engines have in common, without an engine: archives, logs, the choice of engines, requests without words."""

import json
import tarfile
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import UnixStreamServer
from threading import Thread

import pytest

from nvsim.errors import NvsimError
from scenarios import archive, request
from scenarios.engines import containers, cri, docker, logs, on_machine, table
from scenarios.engines.containerd import Containerd
from scenarios.engines.containers import CannotExpress
from scenarios.engines.podman import Podman
from scenarios.request import Exec


def test_an_archive_is_one_layer_whose_files_belong_to_root(tmp_path: Path) -> None:
    (tmp_path / "root/etc").mkdir(parents=True)
    (tmp_path / "root/etc/a").write_text("a")
    made = archive.write(f"{tmp_path}/root", f"{tmp_path}/i.tar", "localhost/x:1", env=(("A", "1"),), command=("sh",))
    with tarfile.open(made.path) as tar:
        manifest = json.load(tar.extractfile("manifest.json") or open("/dev/null"))[0]
        config = json.load(tar.extractfile(manifest["Config"]) or open("/dev/null"))
        tar.extract(manifest["Layers"][0], tmp_path, filter="data")
    assert manifest["RepoTags"] == ["localhost/x:1"] and made.id == f"sha256:{manifest['Config'][:-5]}"
    assert config["config"] == {"Env": ["A=1"], "Cmd": ["sh"]}
    assert config["rootfs"]["diff_ids"] == [f"sha256:{manifest['Layers'][0].partition('/')[0]}"]
    with tarfile.open(tmp_path / manifest["Layers"][0]) as layer:
        assert {(m.uid, m.gid, m.mtime) for m in layer} == {(0, 0, 0)} and "etc/a" in layer.getnames()
    assert sorted(path.name for path in tmp_path.glob("i.tar*")) == ["i.tar"]


def test_what_an_engine_quotes_of_a_runtime_is_read_like_its_log() -> None:
    said = 'Error: /usr/bin/nvidia-container-runtime: time="2026-11-25T21:34:59Z" level=error msg="no \\"x\\"": OCI'
    assert logs.with_errors(said, "") == 'Error: /usr/bin/nvidia-container-runtime: error: no "x": OCI\n'


def test_hooks_of_kernel_and_daemon_are_nobodys() -> None:
    hooks = [{"path": "/x/nvsim-kernel"}, {"path": "/proc/5/exe", "args": ["libnetwork-setkey", "-exec-root=/x"]}]
    assert logs.without_kernel({"hooks": {"prestart": hooks}}) == {}
    own = {"path": "/a"}
    assert logs.without_kernel({"hooks": {"prestart": [*hooks, own]}}) == {"hooks": {"prestart": [own]}}


def test_a_log_of_cri_has_two_streams_and_lines_in_parts() -> None:
    assert cri.streams("t stdout P ab\nt stdout F c\nt stderr F no \nt stdout F \n") == ("abc\n\n", "no \n")


def test_an_exec_gets_its_environment_from_a_shell() -> None:
    run = Exec(name="c", command=("echo", "a b"), env=(("A", "it is"),))
    shell = ["/bin/sh", "-c", """export 'A=it is'; exec "$@\"""", "sh"]
    assert containers.with_environment(run) == [*shell, "echo", "a b"]
    assert containers.with_environment(Exec(name="c", command=("true",))) == ["true"]


@pytest.mark.parametrize(("version", "line", "said"), [
    ("20.10.24+dfsg1", "docker run --device nvidia.com/gpu=0 debian", "has no CDI devices; docker 25.0 knows them"),
    ("20.10.24", "docker run --annotation a=b debian", "has no --annotation; docker 24.0 knows it"),
    ("26.1.5", "docker run --device nvidia.com/gpu=0 --annotation a=b --gpus all debian", ""),
])
def test_docker_says_which_version_has_words_for_a_request(version: str, line: str, said: str) -> None:
    daemon = docker.Docker.__new__(docker.Docker)
    daemon.version = version
    run = request.parse_run(line, "case")
    if not said:
        daemon._refuse(run)
        return
    with pytest.raises(CannotExpress, match=said) as caught:
        daemon._refuse(run)
    assert caught.value.allowed


def test_frames_of_docker_are_taken_apart() -> None:
    frames = (b"\1\0\0\0\0\0\0\3one", b"\2\0\0\0\0\0\0\4oops", b"\1\0\0\0\0\0\1\0" + 256 * b"x")
    assert docker.streams(b"".join(frames)) == ("one" + 256 * "x", "oops") and docker.streams(b"") == ("", "")


def test_what_comes_along_with_the_head_of_dockers_answer_is_read(tmp_path: Path) -> None:
    """A daemon under load sends the head and the first output at once; the SDK's exec_start then misses the output."""
    import docker as sdk

    class Daemon(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            start = self.path.endswith("/start")
            self.send_answer("vnd.docker.raw-stream" if start else "json",
                             b"\1\0\0\0\0\0\0\2hi" if start else b'{"Id": "e"}')

        def do_GET(self) -> None:
            self.send_answer("json", b'{"ExitCode": 3}')

        def send_answer(self, kind: str, body: bytes) -> None:
            self.wfile.write(f"HTTP/1.1 200 OK\r\nContent-Type: application/{kind}\r\n\r\n".encode() + body)
            self.close_connection = True

        def address_string(self) -> str:
            return "a socket"

        def log_message(self, *_: object) -> None:
            pass

    socket = f"{tmp_path}/s"
    with UnixStreamServer(socket, Daemon) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        engine = docker.Docker.__new__(docker.Docker)
        engine._api, engine._error = sdk.APIClient(f"unix://{socket}", version="1.41"), sdk.errors.APIError
        ran = engine.execute("c", Exec(name="c", command=("true",)))
        engine._api.close()
        server.shutdown()
    assert (ran.exit, ran.stdout, ran.stderr) == (3, "hi", "")


@pytest.mark.parametrize(("version", "said"), [("4.3.1", "ignores it"), ("5.8.2", "takes names of CDI devices by it")])
def test_podman_has_no_flag_that_means_the_hook(version: str, said: str) -> None:
    engine = Podman.__new__(Podman)
    engine.version = version
    with pytest.raises(CannotExpress, match=rf"--gpus is docker's: podman {version} {said}"):
        engine.run(request.parse_run("docker run --gpus all debian", "case"), archive.Archive("", "", ""))


def test_ctr_gets_a_request_in_its_own_words() -> None:
    ctr = Containerd.__new__(Containerd)
    ctr.version = "1.6.20"
    ctr._on = type("On", (), {"case": type("Case", (), {"cgroup": "host"})})()  # type: ignore[assignment]
    words = ctr._words(request.parse_run(
        """docker run -d --runtime nvidia --gpus '"device=0,2"' -e A=1 -v /a:/b:ro -w /w debian""", "case"))
    assert words == ["--runc-binary", "/usr/bin/nvidia-container-runtime", "--gpus", "0", "--gpus", "2", "--env", "A=1",
                     "--mount", "type=bind,src=/a,dst=/b,options=rbind:rprivate:ro", "--cwd", "/w", "--detach"]
    with pytest.raises(CannotExpress, match="ctr names GPUs one by one"):
        ctr._words(request.parse_run("docker run --gpus all debian", "case"))
    with pytest.raises(CannotExpress, match=r"ctr 1.6.20 has no --user; containerd 1.7 knows it"):
        ctr._words(request.parse_run("docker run --user 1000 debian", "case"))
    ctr.version = "1.7.0"
    assert ctr._words(request.parse_run("docker run --user 1000 debian", "case")) == ["--user", "1000"]


def test_engines_are_chosen_by_name_or_level() -> None:
    assert [engine.name for engine in table.chosen(["podman"], None)] == ["podman"]
    assert [engine.name for engine in table.chosen(None, ["engine"])] == ["podman", "podman-rootless", "docker",
                                                                           "containerd", "cri"]
    with pytest.raises(NvsimError, match="no engine has this level"):
        table.chosen(["podman"], ["spec"])


def test_engines_that_are_missing_are_left_out_aloud_and_never_in_ci(monkeypatch: pytest.MonkeyPatch,
                                                                    capsys: pytest.CaptureFixture[str]) -> None:
    from dataclasses import replace

    reasons = {"docker": "dockerd is not installed", "podman": "podman is not installed"}
    known = {name: replace(engine, unavailable=lambda name=name: reasons.get(name, ""))
             for name, engine in table.ENGINES.items()}
    monkeypatch.setattr(table, "ENGINES", known)
    monkeypatch.delenv("CI", raising=False)
    assert [engine.name for engine in table.chosen(None, None)] == ["runc", "crun"]
    assert "nvsim: without docker: dockerd is not installed" in capsys.readouterr().err
    monkeypatch.setenv("CI", "true")
    assert [engine.name for engine in table.chosen(None, None)] == list(table.DEFAULT)
    monkeypatch.delenv("CI")
    reasons |= dict.fromkeys(("runc", "crun"), "needs root")
    assert [engine.name for engine in table.chosen(None, None)] == ["spec"]


def test_a_daemon_ends_before_the_program_that_led_it_into_the_machine() -> None:
    import subprocess

    with subprocess.Popen(["sh", "-c", "sleep 1000 & echo up; wait; exit 7"], stdout=subprocess.PIPE, text=True) as led:
        assert led.stdout and led.stdout.readline() == "up\n"
        on_machine.kill(led)
    assert led.returncode == 7  # by itself, once it had seen the other end
    on_machine.kill(led)  # nothing, for one that has ended


def test_engines_in_front_of_a_distributions_are_the_first_and_nothing_else_is(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("venv/nvidia-ctk", "docker-28/dockerd", "late/runc"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch(0o755)
    venv, docker28, late = (str(tmp_path / name) for name in ("venv", "docker-28", "late"))
    monkeypatch.setenv("PATH", f"{venv}:{docker28}:/usr/local/bin:/usr/bin:{late}")
    assert on_machine.search_path().split(":") == [
        docker28, "/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin", venv, late]
