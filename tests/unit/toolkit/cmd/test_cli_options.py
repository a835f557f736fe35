"""The command line as glibc's argp reads it, and its messages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.cmd.cli import options
from toolkit.cmd.cli.main import main
from toolkit.errors import ToolkitError

P = "nvidia-container-cli"
TRY = f"Try `{P} --help' or `{P} --usage' for more\ninformation.\n"
TRY_LIST = f"Try `{P} list --help' or `{P} list --usage'\nfor more information.\n"
TRY_INFO = f"Try `{P} info --help' or `{P} info --usage'\nfor more information.\n"
TRY_CONFIGURE = f"Try `{P} configure --help' or `{P} configure\n--usage' for more information.\n"


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ([], f"Usage: {P} [OPTION...] COMMAND [ARG...]\n{TRY}"),
        (["nosuch"], f"Usage: {P} [OPTION...] COMMAND [ARG...]\n{TRY}"),
        (["inf"], f"Usage: {P} [OPTION...] COMMAND [ARG...]\n{TRY}"),
        (["-u", "1000", "info"], f"Usage: {P} [OPTION...] COMMAND [ARG...]\n{TRY}"),
        (["--nosuch"], f"/usr/bin/{P}: unrecognized option '--nosuch'\n{TRY}"),
        (["--foo=x", "info"], f"/usr/bin/{P}: unrecognized option '--foo=x'\n{TRY}"),
        (["info", "--nosuch"], f"{P} info: unrecognized option '--nosuch'\n{TRY_INFO}"),
        (["info", "--csv=1"], f"{P} info: option '--csv' doesn't allow an argument\n{TRY_INFO}"),
        (["info", "x"], f"{P} info: Too many arguments\n{TRY_INFO}"),
        (["list", "--", "x"], f"{P} list: Too many arguments\n{TRY_LIST}"),
        (["list", "--device"], f"{P} list: option '--device' requires an argument\n{TRY_LIST}"),
        (["list", "-d"], f"{P} list: option requires an argument -- 'd'\n{TRY_LIST}"),
        (["list", "-x"], f"{P} list: invalid option -- 'x'\n{TRY_LIST}"),
        (
            ["list", "--mig=all"],
            f"{P} list: option '--mig=all' is ambiguous; possibilities: '--mig-config' '--mig-monitor'\n{TRY_LIST}",
        ),
        (["configure"], f"Usage: {P} configure [OPTION...] ROOTFS\n{TRY_CONFIGURE}"),
        (["configure", "/a", "/b"], f"Usage: {P} configure [OPTION...] ROOTFS\n{TRY_CONFIGURE}"),
        (["configure", "/"], f"{P}: input error: invalid rootfs directory\n"),
        (["configure", "//"], f"{P}: input error: invalid rootfs directory\n"),
        (["configure", "/./.."], f"{P}: input error: invalid rootfs directory\n"),
        (["configure", "rootfs"], f"{P}: input error: invalid rootfs directory\n"),
        (["configure", ""], f"{P}: input error: invalid rootfs directory\n"),
        (["configure", "--pid=abc", "/c"], f"{P}: input error: parse pid failed: invalid argument\n"),
        (
            ["configure", "--pid=99999999999", "/c"],
            f"{P}: input error: parse pid failed: numerical result out of range\n",
        ),
        (["configure", *["--require=x"] * 33, "/c"], f"{P}: input error: too many requirements\n"),
        (["--user=1x", "info"], f"{P}: input error: parse user/group failed: invalid argument\n"),
        (
            ["--user=99999999999999999999999", "info"],
            f"{P}: input error: parse user/group failed: numerical result out of range\n",
        ),
        (["--user=nosuchuser", "info"], f"{P}: input error: parse user/group failed: no such file or directory\n"),
    ],
)
def test_a_wrong_command_line_says_what_upstream_says(
    capfd: pytest.CaptureFixture[str], words: list[str], error: str
) -> None:
    assert main([f"/usr/bin/{P}", *words]) == 1
    assert capfd.readouterr() == ("", error)


@pytest.mark.parametrize("command", [[], ["info"], ["list"], ["configure"]])
@pytest.mark.parametrize("option", ["--help", "-?", "--usage", "--version", "-V", "--vers"])
def test_help_goes_to_stdout(capfd: pytest.CaptureFixture[str], command: list[str], option: str) -> None:
    assert main([P, *command, option]) == 0
    out, error = capfd.readouterr()
    assert error == "" and out.endswith("\n")
    keys = [line.split(":")[0] for line in out.splitlines()]
    if "ers" in option or option == "-V":
        assert keys == [
            "cli-version",
            "lib-version",
            "build date",
            "build revision",
            "build compiler",
            "build platform",
            "build flags",
        ]
    else:
        assert out.startswith(f"Usage: {' '.join([P, *command])} [")


def test_values_are_attached_or_follow_and_options_may_be_grouped_and_abbreviated() -> None:
    words = ["-cu", "-d0", "--dev=1", "-d", "2", "/c", "--pid", "5", "--req", "a=b", "--no-dev"]
    given_ = options.parse(options.CONFIGURE, words)
    assert given_.joined("device") == "0,1,2"
    assert given_.operands == ("/c",)
    assert [name for name in ("compute", "utility", "no-devbind") if given_.has(name)] == [
        "compute",
        "utility",
        "no-devbind",
    ]
    assert (given_.last("pid"), given_.last("require")) == ("5", "a=b")


def test_global_options_end_at_the_command() -> None:
    given_ = options.parse(options.GLOBAL, ["-k", "-u1:2", "--deb=/x", "configure", "-k", "--pid=1"])
    assert given_.operands == ("configure", "-k", "--pid=1")
    assert (given_.last("user"), given_.last("debug"), given_.has("load-kmods")) == ("1:2", "/x", True)


@pytest.mark.parametrize("parser", [options.GLOBAL, options.INFO, options.LIST, options.CONFIGURE])
def test_no_line_of_help_is_wider_than_a_terminal(parser: options.Parser) -> None:
    for text in (options.help_text(parser), options.usage_text(parser)):
        assert max(map(len, text.splitlines())) < 100


@given(
    st.lists(st.one_of(st.text(max_size=8), st.sampled_from(["-", "--", "-d", "--mig", "--device=", "-u", "--help"])))
)
def test_any_words_are_parsed_or_refused(words: list[str]) -> None:
    for parser in (options.GLOBAL, options.CONFIGURE):
        try:
            options.parse(parser, words)
        except ToolkitError:
            pass


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("0", "(0, 0)"),
        ("0:7", "(0, 7)"),
        ("root", "(0, 0)"),
        ("root:", "(0, 0)"),
        (" 5:5", "(5, 5)"),
        ("+5:005", "(5, 5)"),
        ("4294967295:0", "(4294967295, 0)"),
        ("-1", "numerical result out of range"),
        ("4294967296:0", "numerical result out of range"),
        ("0:4294967296", "numerical result out of range"),
        ("0:1x", "invalid argument"),
        ("nosuchuser:1x", "no such file or directory"),
        ("root:nosuchgroup", "no such file or directory"),
        ("123456", "no such file or directory"),
        (":0", "no such file or directory"),
    ],
)
def test_users_are_read_as_strtoull_reads_them(text: str, found: str) -> None:
    from toolkit.cmd.cli.driver import user_of

    try:
        answer = str(user_of(text))
    except ToolkitError as e:
        answer = e.message.removeprefix("parse user/group failed: ")
    assert answer == found


def test_options_are_listed_as_argp_sorts_them() -> None:
    lines = options.help_text(options.CONFIGURE).splitlines()
    long = [line.split()[0] for line in lines if line.startswith("      --c")]
    assert long == ["--compat32", "--cuda-compat-mode=MODE"]
    letters = [line[2:4] for line in lines if line.startswith("  -")]
    assert letters == ["-?", "-c", "-d", "-D", "-g", "-l", "-n", "-p", "-r", "-u", "-v", "-V"]
