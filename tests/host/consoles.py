"""Pages of docs/ that are tried out: ```console blocks, their commands run, and what these print compared."""

import os
import re
import subprocess
import sys
from pathlib import Path


def blocks(page: str, *languages: str) -> list[tuple[str, str]]:
    """The fenced blocks of a page in these languages, as (language, text) in their order."""
    return re.findall(rf"^```({'|'.join(languages)})\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)


def steps(console: str) -> list[tuple[str, list[str]]]:
    """Commands, each with the lines that the page shows of its output."""
    found: list[tuple[str, list[str]]] = []
    for line in console.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        else:
            found[-1][1].append(line)
    return [(command, lines) for command, lines in found if " pip install " not in command]


def expression(lines: list[str]) -> str:
    """What the output must match: … is any text, alone in a line any lines; blanks at the end of one do not count."""
    parts = ["(?:.*\n)*" if line == "…" else re.escape(line).replace("…", ".*") + " *\n" for line in lines]
    return "".join(parts) if lines else "(?:.*\n)*"


def check(console: str, folder: Path) -> None:
    """Runs the commands of a block in a folder; each must print what the page shows, and succeed.

    A command whose last line shown tells of failed cases must exit with 1."""
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    for command, lines in steps(console):
        done = subprocess.run(["sh", "-c", command], cwd=folder, env={**os.environ, "PATH": path}, text=True,
                              capture_output=True, check=False)
        failed = bool(lines) and " failed in " in lines[-1]
        assert done.returncode == failed, f"{command}\n{done.stdout}{done.stderr}"
        assert re.fullmatch(expression(lines), done.stdout), f"{command}\n{done.stdout}"
