"""nvidia-ctk config, at the command line."""

import os
import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.cmd.ctk.main import main
from toolkit.cmd.ctk.remarks import remarks_of
from toolkit.plan.toml_text import to_toml

# Source: reference of nvidia-ctk v1.20.0, `config default` on a host that is not SUSE and has no ldconfig.real.
DEFAULT = """#accept-nvidia-visible-devices-as-volume-mounts = false
#accept-nvidia-visible-devices-envvar-when-unprivileged = true
disable-require = false
supported-driver-capabilities = "compat32,compute,display,graphics,ngx,utility,video"
#swarm-resource = "DOCKER_RESOURCE_GPU"

[nvidia-container-cli]
#debug = "/var/log/nvidia-container-toolkit.log"
environment = []
#ldcache = "/etc/ld.so.cache"
ldconfig = "@/sbin/ldconfig"
load-kmods = true
#no-cgroups = false
#path = "/usr/bin/nvidia-container-cli"
#root = "/run/nvidia/driver"
#user = "root:video"

[nvidia-container-runtime]
#debug = "/var/log/nvidia-container-runtime.log"
log-level = "info"
mode = "auto"
runtimes = ["runc", "crun"]

[nvidia-container-runtime.modes]

[nvidia-container-runtime.modes.cdi]
annotation-prefixes = ["cdi.k8s.io/"]
default-kind = "nvidia.com/gpu"
spec-dirs = ["/etc/cdi", "/var/run/cdi"]

[nvidia-container-runtime.modes.csv]
mount-spec-path = "/etc/nvidia-container-runtime/host-files-for-container.d"

[nvidia-container-runtime.modes.legacy]
cuda-compat-mode = "ldconfig"

[nvidia-container-runtime-hook]
path = "nvidia-container-runtime-hook"
skip-mode-detection = false

[nvidia-ctk]
path = "nvidia-ctk"
"""
# What an empty file becomes: the ten keys that are shown, with the tables that hold them.
EMPTY = """#accept-nvidia-visible-devices-as-volume-mounts = false
#accept-nvidia-visible-devices-envvar-when-unprivileged = true
#swarm-resource = "DOCKER_RESOURCE_GPU"

[nvidia-container-cli]
#debug = "/var/log/nvidia-container-toolkit.log"
#ldcache = "/etc/ld.so.cache"
#no-cgroups = false
#path = "/usr/bin/nvidia-container-cli"
#root = "/run/nvidia/driver"
#user = "root:video"

[nvidia-container-runtime]
#debug = "/var/log/nvidia-container-runtime.log"
"""


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    for name in list(os.environ):
        if name.startswith(("NVIDIA_", "XDG_CONFIG")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ctk(*args):
    return main(["nvidia-ctk", *args])


def config(capfd, *args, text=None):
    """Exit code, output and first line of the errors of `config -c c.toml ARGS`."""
    if text is not None:
        with open("c.toml", "w", encoding="utf-8") as f:
            f.write(text)
    code = ctk("config", "-c", "c.toml", *args)
    out, err = capfd.readouterr()
    return code, out, err.partition("level=error msg=")[2].split("\n")[0]


def test_the_defaults_are_upstreams(capfd):
    here = DEFAULT.replace("ldconfig\"", 'ldconfig.real"') if os.path.exists("/sbin/ldconfig.real") else DEFAULT
    for args in (("default",), ("create-default",), ("generate-default", "extra"), (), ("no-such-command",)):
        assert config(capfd, *args) == (0, here, "")


def test_the_defaults_go_to_a_file_whose_folder_exists(capfd, place):
    assert ctk("config", "default", "-o", "out.toml") == 0
    assert (place / "out.toml").read_text().startswith("#accept-")
    assert ctk("config", "default", "--output", "no/out.toml") == 1
    assert "failed to open output file: open no/out.toml: no such file or directory" in capfd.readouterr().err


def test_a_file_gets_the_shown_keys_and_keeps_its_own(capfd):
    assert config(capfd, text="") == (0, EMPTY, "")
    text = 'b = [1, "x"]\n[mine]\nk = 1.50\n[nvidia-container-cli]\nuser = "root:video"\nroot = ""\n'
    code, out, _ = config(capfd, text=text)
    assert code == 0 and tomllib.loads(out) == {**tomllib.loads(text), "nvidia-container-runtime": {}}
    assert 'root = ""\nuser = "root:video"\n' in out and "#root" not in out


def test_in_place_changes_the_file_and_nothing_else(capfd, place):
    code, out, _ = config(capfd, "-i", "-o", "other", "--set", "nvidia-container-runtime.mode=cdi", text="")
    assert (code, out) == (0, "")
    assert (place / "c.toml").read_text() == EMPTY + 'mode = "cdi"\n'
    assert os.listdir(place) == ["c.toml"]


def test_output_makes_its_folders_and_leaves_the_file_alone(capfd, place):
    assert config(capfd, "--set", "disable-require", "-o", "a/b/c.toml", text="")[0] == 0
    assert "\ndisable-require = true\n" in (place / "a/b/c.toml").read_text()
    assert (place / "c.toml").read_text() == ""


def test_comments_stay_where_they_stood(capfd):
    text = """# Managed by hand.

# why
#swarm-resource = "DOCKER_RESOURCE_GPU"
disable-require = false  # because

[nvidia-container-cli] # the cli
# the root
root = "/run/x" # operator
environment = [
  "A=1", # first
  "B=#2",
]
# end
"""
    code, out, _ = config(capfd, "--set", "nvidia-container-cli.path=/p", text=text)
    assert code == 0
    assert out.startswith("# Managed by hand.\n\n#accept-")
    assert "\ndisable-require = false # because\n# why\n#swarm-resource" in out
    assert '\n# first\nenvironment = ["A=1", "B=#2"]\n' in out
    assert '\npath = "/p"\n# the root\nroot = "/run/x" # operator\n' in out
    assert "\n[nvidia-container-cli] # the cli\n" in out and out.endswith("\n# end\n")
    assert config(capfd, text=out) == (0, out, "")


@pytest.mark.parametrize(("args", "text", "error"), [
    (("--set", "nope"), "", 'invalid --set option nope: invalid config option: undefined field: \\"nope\\"'),
    (("--set", "nvidia-container-runtime.runtimes=crun,runc"), "",
     'invalid --set option runc: invalid config option: undefined field: \\"runc\\"'),
    (("--set-list-separator", ""), "", "set-list-separator must be set"),
    ((), "a = 1\na = 2\n", "unable to create config: failed to load specified config file: (2, "),
    (("-c", "/proc"), "", "unable to create config: failed to load specified config file: read /proc: is a directory"),
    (("-o", "c.toml/x"), "", "failed to create output directory: mkdir "),
])
def test_what_cannot_be_done_is_said_and_leaves_the_file(capfd, place, args, text, error):
    code, out, err = config(capfd, "-i" if "-o" not in args else "-d", *args, text=text)
    assert (code, out) == (1, "")
    assert err.startswith('"' + error)
    assert (place / "c.toml").read_text() == text and os.listdir(place) == ["c.toml"]


def test_values_are_not_validated(capfd):
    text = 'disable-require = "x"\n[nvidia-container-cli]\nldconfig = "/sbin/ldconfig"\n'
    code, out, _ = config(capfd, text=text)
    assert code == 0 and 'disable-require = "x"\n' in out and '\nldconfig = "/sbin/ldconfig"\n' in out


@pytest.mark.parametrize(("variable", "file"), [
    ("NVIDIA_CTK_CONFIG_FILE_PATH", "mine.toml"), ("XDG_CONFIG_HOME", "nvidia-container-runtime/config.toml"),
])
def test_the_file_is_that_of_the_environment(capfd, place, monkeypatch, variable, file):
    path = place / file
    path.parent.mkdir(exist_ok=True)
    path.write_text("mine = 1\n")
    monkeypatch.setenv(variable, str(path if variable.startswith("NV") else place))
    assert ctk("--config", "/none", "config") == 0
    assert "\nmine = 1\n" in capfd.readouterr().out


def test_help_has_the_flags_of_the_command_and_its_own_config(capfd):
    assert ctk("config", "--help") == ctk("config", "help") == ctk("help", "config") == 0
    page = capfd.readouterr().out
    assert "   --config-file string, --config string, -c string  " in page
    assert "   default, create-default, generate-default  " in page
    assert "--set-list-separator" not in page


pieces = st.lists(st.sampled_from([
    "# c", "", "a = 1", "b = 2 # d", '"x y" = "#"', "[t]", "[t.u] # h", "  # i", "e = '''\n# in\n'''",
    "[[n]]", "l = [ # o\n 1, # p\n]", "i = {q = '#'}", "f.g = 1",
]), max_size=7)


@settings(max_examples=60)
@given(pieces)
def test_arbitrary_comments_are_all_kept_and_written_the_same_again(lines):
    text = "\n".join(lines)
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    out = to_toml(table, remarks=remarks_of(text, {}))
    assert tomllib.loads(out) == table
    alone = (line.strip() for line in lines)
    comments = [line[line.index("#"):] for line in alone if line[:1] == "#" or "] #" in line or " # d" in line]
    for comment in comments:
        assert out.count(comment) >= comments.count(comment), out
    assert to_toml(table, remarks=remarks_of(out, {})) == out


@settings(max_examples=40)
@given(st.binary(max_size=60) | st.text("[]='\"#.\n a1{},-\\", max_size=60).map(str.encode))
def test_any_bytes_give_a_configuration_or_an_error(data):
    with open("c.toml", "wb") as f:
        f.write(data)
    code = ctk("config", "-c", "c.toml", "-o", "out.toml", "--set", "nvidia-container-cli.root=/x")
    assert code in (0, 1)
    if code == 0:
        with open("out.toml", "rb") as f:
            assert tomllib.load(f)["nvidia-container-cli"]["root"] == "/x"
