import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvsim import cli
from nvsim.ctl import help, verbs
from nvsim.errors import NvsimError

WORD = st.one_of(st.text(), st.sampled_from(["gpu=0", "gpu=all", "79", "up", "off"]),
                 st.from_regex(r"(gpu|temperature|link|pid|fabric_cluster|for|at|name)=[ -~]*", fullmatch=True))


@given(st.lists(WORD), st.sampled_from(sorted(verbs.VERBS)))
def test_any_words_are_a_change_or_an_error(words, verb):
    try:
        assert verbs.parse([verb, *words])
    except NvsimError as e:
        assert e.message


@pytest.mark.parametrize("line", [line for verb in verbs.VERBS.values() for line in verb.examples])
def test_every_example_of_the_help_is_understood(line):
    assert verbs.parse(line.split())


@pytest.mark.parametrize("name", verbs.VERBS)
def test_help_names_every_key_of_a_verb(name):
    assert [key for key in verbs.VERBS[name].keys if f"  {key}=" not in help.of(name)] == []


@pytest.mark.parametrize(("line", "said", "hint"), [
    ("", "'' is not known", "known: "), ("xidd gpu=0 79", "'xidd' is not known", "did you mean 'xid'?"),
    ("xid gqu=0 79", "'gqu' is not known", "did you mean 'gpu'?"), ("xid 79", "gpu= is missing", "--help"),
    ("xid gpu=0", "expected one Xid number", "xid gpu=0 79"), ("xid gpu=0 77", "no Xid 77", "near it: 74, 78, 79"),
    ("lose gpu=0 hard", "expected NAME=VALUE", "--help")])
def test_a_line_that_is_not_understood_says_what_would_be(line, said, hint):
    with pytest.raises(NvsimError, match=said) as caught:
        verbs.parse(line.split())
    assert hint in caught.value.hint


def test_a_key_may_be_written_as_a_flag():
    assert verbs.parse(["xid", "--gpu", "0", "79"]) == verbs.parse(["xid", "gpu=0", "79"])


def test_the_command_says_what_it_did_and_exits_with_0(host, capsys):
    assert cli.main(["ctl", "--host", host("T4").root, "lose", "gpu=0"]) == 0
    assert capsys.readouterr().out == "GPU 0 (0000:01:00.0): lost\n"


def test_a_line_that_is_not_understood_exits_with_1_and_a_hint(host, capsys):
    assert cli.main(["ctl", "--host", host("T4").root, "loose", "gpu=0"]) == 1
    assert capsys.readouterr().err == "nvsim: ctl: 'loose' is not known here\n  hint: did you mean 'lose'?\n"


@pytest.mark.parametrize("verb", verbs.VERBS)
def test_every_verb_has_help_that_needs_no_host(verb, capsys):
    assert cli.main(["ctl", verb, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"usage: nvsim ctl {verb}")
