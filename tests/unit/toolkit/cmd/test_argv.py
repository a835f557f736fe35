"""Go's flag conventions, and what the runtime takes from runc's command line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.cmd.argv import HelpRequested, UsageError, last, parse
from toolkit.cmd.runtime_args import bundle_of, has_create, log_flags
from toolkit.errors import ToolkitError

FLAGS = {"config": str, "debug": bool}


@pytest.mark.parametrize("args", [["-config", "x", "run"], ["--config=x", "run"], ["-config", "y", "-config=x", "run"]])
def test_a_value_follows_or_is_joined_and_the_last_counts(args):
    values, rest = parse(args, FLAGS)
    assert last(values, "config") == "x"
    assert rest == ["run"]


def test_a_boolean_takes_its_value_only_joined():
    assert parse(["-debug", "false"], FLAGS) == ({"debug": ["true"]}, ["false"])
    assert parse(["-debug=F"], FLAGS) == ({"debug": ["false"]}, [])


def test_parsing_stops_at_the_first_argument_that_is_no_flag():
    assert parse(["run", "-debug"], FLAGS) == ({}, ["run", "-debug"])
    assert parse(["--", "-debug"], FLAGS) == ({}, ["-debug"])
    assert parse(["-", "-debug"], FLAGS) == ({}, ["-", "-debug"])


def test_an_alias_counts_as_its_flag():
    assert parse(["-c", "x"], FLAGS, {"c": "config"}) == ({"config": ["x"]}, [])


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["-foo"], "flag provided but not defined: -foo"),
        (["--foo=1"], "flag provided but not defined: -foo"),
        (["-config"], "flag needs an argument: -config"),
        (["---config"], "bad flag syntax: ---config"),
        (["-=x"], "bad flag syntax: -=x"),
        (["-debug=x"], 'invalid boolean value "x" for -debug: parse error'),
    ],
)
def test_mistakes_have_gos_text(args, text):
    with pytest.raises(UsageError) as e:
        parse(args, FLAGS)
    assert e.value.message == text
    assert e.value.exit_code == 2


@pytest.mark.parametrize("arg", ["-h", "--help"])
def test_help_is_no_failure(arg):
    with pytest.raises(HelpRequested) as e:
        parse([arg], FLAGS)
    assert e.value.exit_code == 0


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("rt create x", True),
        ("create", True),
        ("rt --root /r --log create", True),
        ("rt start x", False),
        ("rt --bundle create start", False),
        ("rt -b create start", False),
        ("rt --bundle=create start", False),
        ("rt --bundle --bundle create", True),
        ("rt --bundle x create", True),
        ("rt recreate", False),
        ("rt -- -b create", False),
        ("rt ---bundle create", False),
        ("rt --bundled create", True),
    ],
)
def test_create_counts_wherever_it_stands_but_as_a_bundle(line, found):
    assert has_create(line.split(" ")) is found


@pytest.mark.parametrize(
    ("line", "bundle"),
    [
        ("rt create x", ""),
        ("rt create --bundle /b x", "/b"),
        ("rt -b /b", "/b"),
        ("rt --b=/b", "/b"),
        ("rt --bundle=", ""),
        ("rt -bundle /a -b /b", "/b"),
        ("rt --bundle=/a=b", "/a=b"),
        ("rt -b -b", "-b"),
        ("rt b /b", ""),
        ("rt ---b /b", "/b"),
    ],
)
def test_the_last_bundle_counts(line, bundle):
    assert bundle_of(line.split(" ")) == bundle


def test_a_bundle_flag_without_value_is_an_error():
    with pytest.raises(ToolkitError, match="bundle option requires an argument"):
        bundle_of(["rt", "create", "--bundle"])


def test_log_flags_are_those_of_runc():
    flags = log_flags(
        ["rt", "--debug", "--log", "/a", "-log=/l", "--log-format", "text", "--log-format=json", "create"]
    )
    assert (flags.file, flags.json, flags.debug, flags.version) == ("/l", True, True, False)
    flags = log_flags(["rt", "--log", "--version", "log-format", "json", "debug", "-debug=false"])
    assert (flags.file, flags.json, flags.debug, flags.version) == ("--version", False, True, False)
    assert log_flags(["rt", "---version=x"]).version
    assert not log_flags(["rt", "-v", "version"]).version


@given(st.lists(st.text(max_size=12) | st.sampled_from(["-b", "--bundle", "create", "--log", "-debug", "--"])))
def test_any_command_line_is_understood_or_refused(args):
    has_create(args)
    log_flags(args)
    for read in (bundle_of, lambda a: parse(a, FLAGS)):
        try:
            read(args)
        except ToolkitError:
            pass
