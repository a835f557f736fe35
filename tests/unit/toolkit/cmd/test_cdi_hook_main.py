"""The command line of nvidia-cdi-hook and of `nvidia-ctk hook`."""

import pytest

from toolkit import __version__
from toolkit.cmd.cdi_hook.flags import Flag, UsageError, parse
from toolkit.cmd.cdi_hook.main import HOOKS, main


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    for name in ("NVIDIA_CTK_DEBUG", "NVIDIA_CDI_DEBUG", "NVIDIA_CTK_QUIET", "NVIDIA_CDI_QUIET"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def hook(capfd):
    def run(*arguments, name="nvidia-cdi-hook"):
        status = main([name, *arguments])
        out, err = capfd.readouterr()
        return status, out, err

    return run


@pytest.mark.parametrize("arguments", [(), ("--unknown",), ("--unknown=x", "-y"), ("--what", "future-hook"),
                                       ("--what", "create-symlinks")])
def test_no_hook_is_a_warning_and_no_error(hook, arguments):
    status, out, err = hook(*arguments)
    assert (status, out) == (0, "")
    assert err.endswith('level=warning msg="No CDI hook specified"\n')


@pytest.mark.parametrize("arguments", [("future-hook",), ("future-hook", "--with", "flags"), ("--", "future-hook"),
                                       ("help", "future-hook")])
def test_an_unknown_hook_is_a_warning_and_no_error(hook, arguments):
    status, _, err = hook(*arguments)
    assert status == 0
    assert err.endswith(f'level=warning msg="Unsupported CDI hook: {[a for a in arguments if a != "--"][0]}"\n')


def test_the_hidden_hook_does_nothing_and_is_not_shown(hook):
    assert hook("noop") == (0, "", "")
    assert "noop" not in hook("--help")[1]


@pytest.mark.parametrize("name", [name for name in HOOKS if name not in ("noop", "sequence")])
def test_an_unknown_flag_of_a_known_hook_is_an_error(hook, name):
    status, out, err = hook(name, "--bar")
    assert status == 1
    assert err.startswith("Incorrect Usage: flag provided but not defined: -bar\n\n")
    assert err.endswith('level=error msg="flag provided but not defined: -bar"\n')
    assert f"NVIDIA CDI Hook {name}" in out


def test_a_flag_without_its_value_is_an_error(hook):
    status, _, err = hook("chmod", "--mode")
    assert status == 1
    assert 'level=error msg="flag needs an argument: --mode"' in err


@pytest.mark.parametrize(("name", "title"), [
    ("nvidia-cdi-hook", "NVIDIA CDI Hook chmod"), ("nvidia-ctk hook", "NVIDIA Container Toolkit CLI hook chmod")])
def test_help_names_the_command_that_was_called(hook, name, title):
    status, out, err = hook("chmod", "--help", name=name)
    assert (status, err) == (0, "")
    assert title in out
    assert "--mode string" in out
    assert "--container-spec" in out


@pytest.mark.parametrize(("arguments", "title"), [
    (("help",), "NVIDIA CDI Hook -"), (("h",), "NVIDIA CDI Hook -"), (("help", "chmod"), "NVIDIA CDI Hook chmod -"),
    (("chmod", "help"), "NVIDIA CDI Hook chmod -"), (("chmod", "h", "--bad"), "NVIDIA CDI Hook chmod -")])
def test_help_is_a_word_too(hook, arguments, title):
    status, out, err = hook(*arguments)
    assert (status, err) == (0, "")
    assert f"   {title}" in out


def test_a_hidden_flag_works_and_is_not_shown(hook):
    assert "container-spec" not in hook("create-symlinks", "-h")[1]
    assert "failed to open file" in hook("create-symlinks", "--container-spec", "/no/file")[2]


def test_the_version_is_printed(hook):
    assert hook("--version") == (0, f"NVIDIA CDI Hook version {__version__}\ncommit: unknown\n", "")
    assert hook("-v")[1] == hook("--version")[1]


def test_quiet_hides_warnings_and_beats_debug(hook, monkeypatch):
    assert hook("--quiet", "--debug", "future-hook") == (0, "", "")
    monkeypatch.setenv("NVIDIA_CDI_QUIET", "true")
    assert hook("future-hook") == (0, "", "")


def test_a_bad_boolean_in_the_environment_is_an_error(hook, monkeypatch):
    monkeypatch.setenv("NVIDIA_CTK_DEBUG", "maybe")
    status, _, err = hook("chmod", "--mode", "755")
    assert status == 1
    assert ('could not parse \\"maybe\\" as bool value from environment variable \\"NVIDIA_CTK_DEBUG\\" for flag '
            "debug: parse error") in err


def test_list_flags_repeat_and_split_at_commas():
    flags = (Flag("link", kind=list, about=""), Flag("mode", "m", kind=str, about="", default="d"))
    values = parse(["--link", "a,b", "-link=c", "x", "--", "--link"], flags, {})
    assert values.items("link") == ["a", "b", "c"]
    assert values.arguments == ["x", "--link"]
    assert values.text("mode") == "d"
    assert parse(["-m", "1", "--mode=2"], flags, {}).text("mode") == "2"


def test_a_boolean_flag_takes_its_value_only_after_an_equals_sign():
    flags = (Flag("debug", kind=bool, about=""),)
    assert not parse(["--debug=false"], flags, {}).is_set("debug")
    assert parse(["--debug", "false"], flags, {}).arguments == ["false"]
    with pytest.raises(UsageError, match='invalid value "x" for flag -debug'):
        parse(["--debug=x"], flags, {})
