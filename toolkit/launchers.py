"""Launchers of every binary: `python3 -m toolkit.launchers FOLDER`, and the entry points of the package.

A launcher runs `python3 -IS`: no `site`, no user environment, so that it starts as fast as the interpreter and nobody's
PYTHONPATH reaches a root process.  It is a few lines long, for a script is compiled anew at each start; the modules
come from their compiled form.  Without `site` no package folder is on the path, so a launcher carries those that it
needs: the one that holds `toolkit`, and those of PyYAML and tomlkit, which a few rare paths import.
"""

import os
import sys

PROGRAMS = {
    "nvidia-container-runtime": "toolkit.cmd.runtime",
    "nvidia-container-runtime.cdi": "toolkit.cmd.runtime",
    "nvidia-container-runtime.legacy": "toolkit.cmd.runtime",
    "nvidia-container-runtime-hook": "toolkit.cmd.runtime_hook",
    "nvidia-container-toolkit": "toolkit.cmd.runtime_hook",
    "nvidia-container-cli": "toolkit.cmd.cli.main",
    "nvidia-ctk": "toolkit.cmd.ctk.main",
    "nvidia-ctk-installer": "toolkit.cmd.installer.main",
    "nvidia-cdi-hook": "toolkit.cmd.cdi_hook.main",
    "nvidia-docker": "toolkit.cmd.docker2",
}
_SHEBANG_LIMIT = 127  # bytes, on kernels before 5.1
_HELP = """usage: python3 -m toolkit.launchers [--python PATH] FOLDER

Writes a launcher of each command into FOLDER, which is created if missing:
  {programs}

  --python PATH   the interpreter that the launchers name (default: the one that runs this)
"""


def install(prefix: str, python: str = sys.executable) -> tuple[str, ...]:
    """Writes the launchers into the folder `prefix` and compiles the modules; the paths written.

    Each file is replaced by rename, so a container that starts meanwhile finds the old or the new one.
    """
    os.makedirs(prefix, exist_ok=True)
    _compile()
    written = []
    for name, module in PROGRAMS.items():
        path = os.path.join(prefix, name)
        fresh = os.path.join(prefix, f".{name}.{os.getpid()}")
        with open(fresh, "w", encoding="utf-8") as f:
            f.write(script(name, module, os.path.realpath(python)))
            os.fchmod(f.fileno(), 0o755)
        os.replace(fresh, path)
        written.append(path)
    return tuple(written)


def script(name: str, module: str, python: str, *, home: str = "") -> str:
    """The text of one launcher.

    `home` is a folder that holds toolkit and the third parties, as `sources` lists them; "": they stay where they are.
    The folder of `toolkit` leads the path for one import only: it may be a site-packages whose other modules must not
    shadow the standard library.
    """
    others = [home] if home else _third_parties()
    return (
        f"{_first_lines(python)}"
        "import sys\n"
        f"sys.path.insert(0, {home or _home()!r})\n"
        "import toolkit\n"
        f"sys.path[:1] = []; sys.path += {others!r}\n"
        "from toolkit.leave import leave\n"
        f"from {module} import main\n"
        f"leave(main([{name!r}, *sys.argv[1:]]))\n"
    )


def _first_lines(python: str) -> str:
    """The line that names the interpreter; by way of /bin/sh where the kernel could not read it."""
    if len(os.fsencode(python)) + len("#! -IS") <= _SHEBANG_LIMIT and " " not in python:
        return f"#!{python} -IS\n"
    quoted = "'" + python.replace("'", "'\"'\"'") + "'"
    return f"#!/bin/sh\n''':'\nexec {quoted} -IS \"$0\" \"$@\"\n'''\n"


def _home() -> str:
    return os.path.dirname(os.path.dirname(os.path.realpath(__file__)))


def sources() -> tuple[str, ...]:
    """The folders of the packages toolkit, PyYAML and tomlkit.  One that is missing only disables what needs it."""
    from importlib.util import find_spec

    found = [spec.origin for spec in map(find_spec, ("yaml", "tomlkit")) if spec and spec.origin]
    return (os.path.join(_home(), "toolkit"), *map(os.path.dirname, found))


def _third_parties() -> list[str]:
    """The folders to search for the packages."""
    return list(dict.fromkeys(map(os.path.dirname, sources())))


def _compile() -> None:
    """Compiles the modules of toolkit where their folder is writable; elsewhere they stay as they are."""
    import compileall

    compileall.compile_dir(os.path.dirname(os.path.realpath(__file__)), quiet=2)


def _run(module: str) -> int:
    """A console script: the module's main, told its name as a launcher tells it."""
    from importlib import import_module

    return int(import_module(module).main([os.path.basename(sys.argv[0]), *sys.argv[1:]]))


def runtime() -> int:
    return _run("toolkit.cmd.runtime")


def runtime_hook() -> int:
    return _run("toolkit.cmd.runtime_hook")


def cli() -> int:
    return _run("toolkit.cmd.cli.main")


def ctk() -> int:
    return _run("toolkit.cmd.ctk.main")


def ctk_installer() -> int:
    return _run("toolkit.cmd.installer.main")


def cdi_hook() -> int:
    return _run("toolkit.cmd.cdi_hook.main")


def docker2() -> int:
    return _run("toolkit.cmd.docker2")


def main(argv: list[str]) -> int:
    """The command line of `python3 -m toolkit.launchers`."""
    from toolkit.cmd import argv as flags

    usage = _HELP.format(programs="\n  ".join(PROGRAMS))
    try:
        values, rest = flags.parse(argv[1:], {"python": str})
        if len(rest) != 1:
            raise flags.UsageError("expected one folder")
        for path in install(rest[0], flags.last(values, "python", sys.executable)):
            print(path)
    except flags.HelpRequested:
        print(usage, end="")
    except flags.UsageError as e:
        print(f"{e}\n\n{usage}", end="", file=sys.stderr)
        return e.exit_code
    except OSError as e:
        print(f"{e.filename}: {(e.strerror or 'failed').lower()}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
