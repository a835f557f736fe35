"""The command `nvsim`: GPU hosts that are not there, and field bugs replayed on them.

The one module of nvsim that imports `scenarios`, and only for the commands that need it.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

from nvsim import __version__
from nvsim.errors import NvsimError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nvsim.record import Kept

EPILOG = """examples:
  nvsim list                                     profiles, cases and GPU models
  nvsim exec a100x8 -- nvidia-smi -L             an unmodified program on eight A100s
  nvsim shell t4x1                               look around yourself
  nvsim ctl set gpu=2 temperature=91             from another terminal, while it runs
  nvsim ctl xid gpu=0 79                         GPU 0 falls off the bus
  nvsim build h100x8 ./host                      the host's files, for other tools
  nvsim run                                      every scenario, in real containers
"""

BUILD = """
The folder is laid out as the host is: DIR/usr/bin/nvidia-smi, DIR/proc/driver/nvidia, DIR/dev/nvidia0.
Remove it with rm -r."""
BUILD_EXAMPLES = """examples:
  nvsim build h100x8 ./host && nvsim exec ./host -- nvidia-smi -L
  nvsim build --in-place a100x8 ./host      then, for any program:
  LD_LIBRARY_PATH=$PWD/host/usr/lib/x86_64-linux-gnu my-exporter
  nvsim ctl --host ./host set gpu=2 temperature=91
"""
EXEC = """
The program finds the host's driver libraries, /dev/nvidia*, /proc/driver/nvidia and /sys; everything else, the working
folder included, is that of this machine.  What it writes below /usr, /etc, /run and /dev is gone afterwards.  An
ordinary user is root on the host.  Exit code: the program's, 125 if the host cannot be entered."""
EXEC_EXAMPLES = """examples:
  nvsim exec a100x8 -- nvidia-smi -L
  nvsim exec --driver 470.256.02 t4x4 -- python -m pytest
  nvsim exec --in-place h100x8 -- go test ./...     where hosts cannot be entered
"""
RECORD = """
It looks at the machine that it runs on and writes what a profile says: driver, layout, GPUs, MIG instances, NVLinks,
what is missing.  Serial numbers, UUIDs, host names and addresses are replaced.  Root sees all of it."""
RECORD_EXAMPLES = """examples:
  nvsim record                                   on the terminal
  nvsim record reporter.yaml && nvsim exec reporter.yaml -- nvidia-smi
  nvsim exec a100x8 -- nvsim record              of an emulated host too
  nvsim record --check reporter.yaml             is it still that machine?
"""


class Command(NamedTuple):
    """One sub-command: a line for the list of commands, and what runs it."""

    about: str
    main: Callable[[list[str]], int]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; exit code 0, 1 for a failure, 2 for a command line that cannot be understood."""
    words = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(
        prog="nvsim", description="GPU hosts that are not there, for testing GPU containers.", epilog=_epilog(),
        formatter_class=argparse.RawDescriptionHelpFormatter, usage="nvsim COMMAND …", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"nvsim {__version__}")
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND", help="see below")
    chosen = parser.parse_args(words[:1])
    try:
        return COMMANDS[chosen.command].main(words[1:])
    except NvsimError as e:
        print(f"nvsim: {e}", file=sys.stderr)
        if e.hint:
            print(f"  hint: {e.hint}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # `nvsim list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1


def _epilog() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {command.about}" for name, command in COMMANDS.items()]
    return "commands (nvsim COMMAND --help tells more):\n" + "\n".join(lines) + "\n\n" + EPILOG


def _parser(name: str, usage: str, more: str = "", examples: str = "") -> argparse.ArgumentParser:
    return argparse.ArgumentParser(prog=f"nvsim {name}", description=f"{COMMANDS[name].about}.\n{more}".strip(),
                                   usage=f"nvsim {name} {usage}", allow_abbrev=False, epilog=examples,
                                   formatter_class=argparse.RawDescriptionHelpFormatter)


def _list(words: list[str]) -> int:
    parser = _parser("list", "[profiles|cases|gpus]")
    parser.add_argument("what", nargs="?", choices=("profiles", "cases", "gpus"), help="default: all three")
    what = parser.parse_args(words).what
    tables = {"profiles": _profile_rows, "cases": _case_rows, "gpus": _gpu_rows}
    for kind in (what,) if what else tables:
        _print_table(kind, tables[kind]())
    return 0


def _profile_rows() -> list[tuple[str, str]]:
    from nvsim import profile

    return [(name, profile.load(name).about) for name in profile.names()]


def _case_rows() -> list[tuple[str, str]]:
    from scenarios import model

    return [(case.name, case.about) for case in model.cases()]


def _gpu_rows() -> list[tuple[str, str]]:
    from nvsim import models

    return [(key, models.about(key)) for key in models.names()]


def _print_table(title: str, rows: list[tuple[str, str]]) -> None:
    """Names and a line on each: a table for people, tab-separated for programs."""
    if not sys.stdout.isatty():
        for name, about in rows:
            print(f"{title}\t{name}\t{about}")
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=box.SIMPLE, show_header=False)
    table.add_column(no_wrap=True, style="bold")
    table.add_column()
    for row in rows:
        table.add_row(*row)
    Console().print(table)


def _build(words: list[str]) -> int:
    parser = _parser("build", "[--in-place] [--driver VERSION] PROFILE DIR", BUILD, BUILD_EXAMPLES)
    parser.add_argument("--in-place", action="store_true",
                        help="for programs that open the tree where it lies, without entering it: the driver library "
                             "looks for its device nodes below DIR instead of /dev")
    parser.add_argument("--driver", metavar="VERSION", help="another driver than the profile's, such as 535.261.03")
    parser.add_argument("profile", metavar="PROFILE", help="name of a profile (nvsim list profiles), or a YAML file")
    parser.add_argument("root", metavar="DIR", help="an empty folder, or one that does not exist yet")
    options = parser.parse_args(words)
    from nvsim import build, profile

    root = os.path.abspath(options.root)
    changes = {"driver": options.driver} if options.driver else {}
    wanted = profile.changed(options.profile, changes)
    machine = build.build(wanted, root, dev_root=root if options.in_place else "/", elf=wanted.arch)
    print(f"{root}: {machine.profile}, {len(machine.gpus)} GPUs, driver {machine.driver or 'none'}")
    if machine.placeholders:
        print(f"{len(machine.placeholders)} device nodes are placeholder files: making nodes needs root",
              file=sys.stderr)
    if not options.in_place:
        print(f"run programs on it: nvsim exec {options.root} -- CMD…", file=sys.stderr)
    elif machine.boards:
        print(f"use it: LD_LIBRARY_PATH={root}{os.path.dirname(machine.boards[0])} CMD…", file=sys.stderr)
    return 0


def _exec(words: list[str]) -> int:
    parser = _parser("exec", "[--in-place] [--driver VERSION] [--cgroup VERSION] PROFILE -- CMD…", EXEC, EXEC_EXAMPLES)
    _add_host(parser)
    parser.add_argument("argv", nargs=argparse.REMAINDER, metavar="-- CMD…", help="the program and its arguments")
    options = parser.parse_args(words)
    argv = options.argv[1:] if options.argv[:1] == ["--"] else options.argv
    if not argv:
        parser.error("no program given: nvsim exec PROFILE -- CMD…")
    return _on_host(options, argv)


def _shell(words: list[str]) -> int:
    parser = _parser("shell", "[--in-place] [--driver VERSION] [--cgroup VERSION] PROFILE", EXEC)
    _add_host(parser)
    options = parser.parse_args(words)
    print(f"nvsim: on {options.profile}; leave with exit or Ctrl-D", file=sys.stderr)
    return _on_host(options, [os.environ.get("SHELL", "/bin/sh")])


def _add_host(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--in-place", action="store_true",
                        help="where hosts cannot be entered: the program finds the host's driver and nvidia-smi, but "
                             "/dev, /proc and /sys are those of this machine")
    parser.add_argument("--driver", metavar="VERSION", help="another driver than the profile's, such as 535.261.03")
    parser.add_argument("--cgroup", choices=("host", "v1", "v2"), default="host",
                        help="which control groups the host shows; v1 also hides the cgroup2 part of a hybrid host")
    parser.add_argument("profile", metavar="PROFILE",
                        help="name of a profile (nvsim list profiles), a YAML file, or a folder made by nvsim build")


def _on_host(options: argparse.Namespace, argv: list[str]) -> int:
    """Builds the host if it is not a built one, and runs a program on it; nothing stays behind."""
    from nvsim import build, machine, profile, state

    if os.path.isdir(options.profile):
        if options.in_place or options.driver:
            raise NvsimError("a built host cannot be changed", source=options.profile,
                             hint="give --in-place and --driver to nvsim build")
        return machine.execute(options.profile, argv, cgroup=options.cgroup)
    wanted = profile.changed(options.profile, {"driver": options.driver} if options.driver else {})
    with state.workdir("host") as folder:
        root = f"{folder}/root"
        built = build.build(wanted, root, dev_root=root if options.in_place else "/")
        if not options.in_place:
            return machine.execute(root, argv, cgroup=options.cgroup)
        return machine.execute_in_place(root, os.path.dirname(built.boards[0]) if built.boards else "", argv)


def _ctl(words: list[str]) -> int:
    from nvsim.ctl import help, verbs

    parser = _parser("ctl", "[--host DIR] VERB WORD…")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = help.overview()
    parser.add_argument("--host", metavar="DIR", help="a built host; default: the machine that this runs on, "
                                                      "or the only one that is running")
    parser.add_argument("verb", metavar="VERB", help="see below")
    parser.add_argument("words", nargs=argparse.REMAINDER, metavar="WORD", help="see nvsim ctl VERB --help")
    options = parser.parse_args(words)
    if options.verb in verbs.VERBS and {"-h", "--help"} & set(options.words):
        print(help.of(options.verb))
        return 0
    action = verbs.parse([options.verb, *options.words])
    host = options.host or _running_host()
    if verbs.endless(action):
        print("nvsim: until Ctrl-C", file=sys.stderr)
    for line in action.apply(host):
        print(line)
    return 0


def _record(words: list[str]) -> int:
    parser = _parser("record", "[--about TEXT] [--keep-uuids] [--keep-serials] [--force] [FILE | --check PROFILE]",
                     RECORD, RECORD_EXAMPLES)
    parser.add_argument("--check", default="", metavar="PROFILE",
                        help="write nothing; print where the machine differs from a profile; exit code 1 if it does")
    parser.add_argument("--about", default="", metavar="TEXT", help="the profile's line for people")
    parser.add_argument("--keep-uuids", action="store_true", help="UUIDs of GPUs and of a fabric's cluster stay")
    parser.add_argument("--keep-serials", action="store_true", help="serial numbers of boards stay")
    parser.add_argument("--force", action="store_true", help="replace FILE if it exists")
    parser.add_argument("file", nargs="?", metavar="FILE", help="where to write, such as NAME.yaml; default: here")
    options = parser.parse_args(words)
    from nvsim import record

    if options.check and options.file:
        parser.error("--check writes no file")
    kept = record.Kept(serials=options.keep_serials, uuids=options.keep_uuids)
    if options.check:
        return _check(options.check, kept)
    name = os.path.basename(options.file or "recorded").rsplit(".", 1)[0]
    found = record.record(name=name, about=options.about, kept=kept)
    for note in found.notes:
        print(f"nvsim: {note}", file=sys.stderr)
    if options.file:
        record.write(found.text, options.file, force=options.force)
    else:
        print(found.text, end="")
    return 0


def _check(wanted: str, kept: "Kept") -> int:
    """Prints where this machine differs from a profile; 1 if it does."""
    from nvsim import profile, record_check

    differences, notes = record_check.check(profile.load(wanted), kept)
    for note in notes:
        print(f"nvsim: {note}", file=sys.stderr)
    for line in differences:
        print(line)
    return 1 if differences else 0


def _running_host() -> str:
    """The built root of the machine that this process is on, else of the only `nvsim exec` or `shell` running."""
    from nvsim import state

    try:
        with open("/run/nvsim-host") as f:
            return f.read().strip()
    except OSError:
        pass
    running = [f"{folder}/root" for folder in state.live("host")]
    if len(running) == 1:
        return running[0]
    raise NvsimError("no host is running" if not running else "several hosts are running: " + ", ".join(running),
                     hint="name one with --host DIR" if running else "start one: nvsim shell PROFILE")


def _run(words: list[str]) -> int:
    from scenarios import runner

    return runner.main(words)


def _draft(words: list[str]) -> int:
    from scenarios.draft import command

    return command.main(words)


def _diff(words: list[str]) -> int:
    from scenarios import diff

    return diff.main(words)


def _keep(words: list[str]) -> int:
    from scenarios import runner

    return runner.keep(words)


COMMANDS = {
    "run": Command("runs scenarios in real containers and compares what they see", _run),
    "list": Command("lists profiles, cases and GPU models", _list),
    "build": Command("writes a host's files into a folder, for use by other tools", _build),
    "exec": Command("runs a program on an emulated host", _exec),
    "shell": Command("opens a shell on an emulated host", _shell),
    "ctl": Command("changes a running host", _ctl),
    "record": Command("writes the profile of the machine that it runs on", _record),
    "draft": Command("makes a case, with its machine, of a bug report", _draft),
    "diff": Command("runs a case with two toolkits and shows where they part", _diff),
    "keep": Command("runs a case to its failing step and opens a shell there", _keep),
}

if __name__ == "__main__":
    sys.exit(main())
