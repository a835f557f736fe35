"""One hook made of several, and the command line of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.errors import ConfigError
from toolkit.model.edits import Edits, Hook
from toolkit.plan.hook_sequence import combined, steps_of

CTK, CDI_HOOK = "/usr/bin/nvidia-ctk", "/usr/bin/nvidia-cdi-hook"


def hook(*args: str, path: str = CDI_HOOK, name: str = "createContainer", env: tuple[str, ...] = ()) -> Hook:
    start = ("nvidia-ctk", "hook") if path == CTK else ("nvidia-cdi-hook",)
    return Hook(name=name, path=path, args=(*start, *args), env=env)


LINK, CACHE, PROFILE = ("create-symlinks", "--link", "a::b"), ("update-ldcache", "--folder", "/x"), ("update-profile",)


@pytest.mark.parametrize(("path", "start"), [(CDI_HOOK, ("nvidia-cdi-hook",)), (CTK, ("nvidia-ctk", "hook"))])
def test_hooks_of_one_program_become_one_in_their_order(path: str, start: tuple[str, ...]) -> None:
    edits = Edits(hooks=tuple(hook(*args, path=path) for args in (LINK, CACHE, PROFILE)))
    (one,) = combined(edits).hooks
    assert one.args == (*start, "sequence", *LINK, "--then", *CACHE, "--then", *PROFILE)
    assert steps_of(list(one.args[len(start) + 1 :])) == [list(LINK), list(CACHE), list(PROFILE)]
    assert combined(combined(edits)) == combined(edits)


def test_what_comes_together_later_is_joined_too() -> None:
    two = combined(Edits(hooks=(hook(*LINK), hook(*CACHE)))).hooks
    (one,) = combined(Edits(hooks=(*two, *two))).hooks
    assert steps_of(list(one.args[2:])) == [list(LINK), list(CACHE)] * 2


@pytest.mark.parametrize(
    "other",
    [
        hook(*CACHE, path=CTK),
        hook(*CACHE, name="startContainer"),
        hook(*CACHE, env=("A=b",)),
        hook("create-symlinks", "--link", "--then"),
        hook(),
    ],
)
def test_hooks_that_differ_in_more_than_their_work_stay_apart(other: Hook) -> None:
    edits = Edits(hooks=(hook(*LINK), other, hook(*LINK)))
    assert combined(edits) == edits


@pytest.mark.parametrize("arguments", [[], ["--then"], ["a", "--then"], ["--then", "a"], ["a", "--then", "--then"]])
def test_a_step_without_a_hook_is_refused(arguments: list[str]) -> None:
    with pytest.raises(ConfigError, match="a sequence has a step without a hook"):
        steps_of(arguments)


@given(st.lists(st.lists(st.sampled_from(["a", "--then", "sequence", "--x"]), min_size=1, max_size=4), max_size=5))
def test_no_hook_is_lost_or_changed(work: list[list[str]]) -> None:
    edits = Edits(hooks=tuple(hook(*args) for args in work if args[0] != "sequence"))
    back: list[list[str]] = []
    for one in combined(edits).hooks:
        back += steps_of(list(one.args[2:])) if one.args[1] == "sequence" else [list(one.args[1:])]
    assert back == [list(h.args[1:]) for h in edits.hooks]
