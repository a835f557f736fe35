"""Help texts of `nvsim ctl`."""

from nvsim.ctl.verbs import VERBS


def overview() -> str:
    """Every verb with a line, and an example of each."""
    verbs = "\n".join(f"  {name:13}  {verb.about}" for name, verb in VERBS.items())
    return (f"verbs (nvsim ctl VERB --help tells more):\n{verbs}\n\nexamples:\n"
            + "\n".join(_example(*next(iter(verb.examples.items()))) for verb in VERBS.values()))


def of(name: str) -> str:
    """How a verb is used: its keys with their meaning, examples, and what else it knows."""
    verb = VERBS[name]
    keys = "\n".join(f"  {key + '=':24} {about}" for key, about in verb.keys.items())
    parts = [f"usage: nvsim ctl {name} {verb.usage}".rstrip(), f"{verb.about[:1].upper()}{verb.about[1:]}.",
             *([f"keys:\n{keys}"] if keys else []),
             "examples:\n" + "\n".join(_example(line, about) for line, about in verb.examples.items())]
    more = verb.table()
    return "\n\n".join([*parts, *(["known:\n" + "\n".join(more)] if more else [])])


def _example(line: str, about: str) -> str:
    return f"  nvsim ctl {line:44} {about}"
