"""`nvsim draft`: reads, decides, writes."""

import argparse
import os
import sys

from nvsim.errors import NvsimError
from scenarios import model
from scenarios.draft import case, commands, documents, facts, kubernetes, machine, pieces, smi, toolkit_log, writer
from scenarios.draft.case import Draft
from scenarios.draft.known import Near
from scenarios.draft.pieces import Piece
from scenarios.draft.scrub import Scrub

EPILOG = """
What is read, by its content: pasted issue text with or without Markdown fences, `docker run` lines with the error
that followed, nvidia-smi (table, -L, -q, -q -x), `nvidia-container-cli -k -d /dev/tty info`, `ls -l /dev/nvidia*`,
config.toml, daemon.json, docker info, CDI specifications, Kubernetes objects with Pods, package lists (dpkg -l,
rpm -qa), kernel logs; a folder such as a must-gather stands for all files in it.  Names of people and machines,
addresses and serial numbers do not travel into the case.

examples:
  nvsim draft issue.md -o case.yaml && nvsim run case.yaml
  nvsim draft issue.md nvidia-smi-q.txt config.toml
  nvsim draft must-gather/ -o case.yaml
  xclip -o | nvsim draft -
"""


def main(argv: list[str]) -> int:
    """`nvsim draft`: the case on standard output or in a file, assumptions and known reports on standard error."""
    options = _options(argv)
    report = pieces.read(options.files)
    found, text = of(report, keep_uuids=options.keep_uuids, report_name=options.report)
    _tell(found)
    if not options.output:
        sys.stdout.write(text)
        return 0
    _write(options.output, text, force=options.force)
    print(f"{options.output}: written; nvsim run {options.output}", file=sys.stderr)
    return 0


def _options(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="nvsim draft", usage="nvsim draft [-o CASE.yaml] [--force] [--keep-uuids] [--report NAME] FILE…",
        description="Makes a case, with its machine in place, of what a bug report says.", epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    parser.add_argument("files", nargs="+", metavar="FILE", help="a text, a folder, or - for the standard input")
    parser.add_argument("-o", "--output", metavar="CASE.yaml", help="write there; default: standard output")
    parser.add_argument("--force", action="store_true", help="replace a file that is there")
    parser.add_argument("--keep-uuids", action="store_true", help="keep the UUIDs of the report; default: others, each "
                                                                  "always the same")
    parser.add_argument("--report", default="", metavar="NAME", help="the report's name, such as OWNER/REPOSITORY#48")
    return parser.parse_args(argv)


def of(report: tuple[Piece, ...], *, keep_uuids: bool = False, report_name: str = "") -> tuple[Draft, str]:
    """The draft of a report, and its text.  Raises NvsimError where nothing tells about GPUs or containers."""
    text = pieces.shortened("\n".join(piece.text for piece in report if piece.whole))
    known = facts.merged(reading for piece in report for reading in _readings(piece))
    runs = commands.find(text) or _pods(report)
    scrub = Scrub(text, keep_uuids=keep_uuids)
    found = case.draft(known, text, runs, scrub, report_name)
    if not (known.found or runs or found.near):
        raise NvsimError("nothing here tells about GPUs or containers", source=", ".join({p.source: 0 for p in report}),
                         hint="nvsim draft --help lists what is read")
    written = writer.text_of(found.case, _head(found), found.reasons)
    model.parse(written, "draft")
    return found, written


def _pods(report: tuple[Piece, ...]) -> tuple[commands.Command, ...]:
    """Lines for the Kubernetes objects of a report: those in fences, of a file without any its whole text."""
    found = {run.line: run for piece in report for run in kubernetes.find(piece.text)}
    return tuple(found.values())


def _readings(piece: Piece) -> tuple[facts.Facts, ...]:
    """What each reader finds.  Blocks may be documents; all else is read from the whole, so nothing counts twice."""
    if not piece.whole:
        return (documents.read(piece.text), facts.Facts(asked=kubernetes.gpus(piece.text)))
    text = pieces.shortened(piece.text)
    return (*smi.readings(text), toolkit_log.read(text), machine.read(text), documents.read(piece.text),
            facts.Facts(asked=kubernetes.gpus(piece.text)))


def _head(found: Draft) -> list[str]:
    lines = ["Drafted from a report by `nvsim draft`.  Look at each line marked `assumed`, then run it: nvsim run FILE"]
    if any("expect" in step for step in _steps(found)):
        lines.append("`expect` holds the failure that was reported; right would be: exit 0, and the GPUs asked for.")
    lines += [f"Note: {note}." for note in found.notes]
    lines += [f"Near: {_near(near)}" for near in found.near]
    return lines


def _steps(found: Draft) -> list[dict[str, object]]:
    steps = found.case["steps"]
    assert isinstance(steps, list)
    return steps


def _near(near: Near) -> str:
    known = near.known
    return f"{known.report} ({known.family}, {near.score:.0%}): {known.error}" + (
        f"; replayed by {near.case}" if near.case else "")


def _tell(found: Draft) -> None:
    for path, why in found.reasons.items():
        print(f"assumed {'.'.join(path)}: {why}", file=sys.stderr)
    for note in found.notes:
        print(f"note: {note}", file=sys.stderr)
    for near in found.near:
        print(f"near: {_near(near)}", file=sys.stderr)
    if not found.near:
        print("near: no known report has such a text", file=sys.stderr)


def _write(path: str, text: str, *, force: bool) -> None:
    """The file by rename: it is there whole, or as before.  Raises NvsimError for one that is there already."""
    if os.path.lexists(path) and not force:
        raise NvsimError("the file exists", source=path, hint="--force replaces it")
    beside = f"{path}.{os.getpid()}.new"
    try:
        with open(beside, "x", encoding="utf-8") as f:
            f.write(text)
        os.replace(beside, path)
    except OSError as e:
        if os.path.lexists(beside):
            os.unlink(beside)
        raise NvsimError(f"cannot be written: {e.strerror}", source=path) from e
