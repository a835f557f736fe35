"""LAYOUT, "Who may import whom", read from the sources: who imports whom, what is pure, where third parties may be."""

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
OURS = ("toolkit", "nvsim", "scenarios", "tests")

# Prefix of the importer → prefixes of ours that it may import; the longest prefix that fits counts.
ALLOWED = {
    "toolkit": (),
    "toolkit.errors": (),
    "toolkit.log": ("toolkit.errors",),
    "toolkit.launchers": ("toolkit.cmd",),
    "toolkit.model": ("toolkit.model", "toolkit.errors"),
    "toolkit.gather": ("toolkit.gather", "toolkit.model", "toolkit.errors", "toolkit.log"),
    "toolkit.plan": ("toolkit.plan", "toolkit.model", "toolkit.errors"),
    "toolkit.apply": ("toolkit.apply", "toolkit.model", "toolkit.errors", "toolkit.log"),
    "toolkit.cmd": ("toolkit",),
    "toolkit.plugin": ("toolkit",),
    "nvsim": ("nvsim",),
    "nvsim.__main__": ("nvsim.cli",),
    "nvsim.cli": ("nvsim", "scenarios", "toolkit.launchers"),
    # Level `spec` runs the toolkit's verbs in process, on a root that is not "/".
    "scenarios.engines.toolkit_spec": ("scenarios", "nvsim", "toolkit"),
    "scenarios": ("scenarios", "nvsim", "toolkit.cmd", "toolkit.launchers", "toolkit.model", "toolkit.errors"),
}
SCENARIOS_EXACT = ("toolkit",)  # for __version__
PURE = ("toolkit.model", "toolkit.plan")
MACHINE_MODULES = frozenset({
    "asyncio", "concurrent", "ctypes", "datetime", "fcntl", "getpass", "glob", "grp", "importlib", "inspect", "io",
    "locale", "logging", "mmap", "multiprocessing", "os", "pathlib", "platform", "pwd", "random", "resource", "select",
    "selectors", "shutil", "signal", "socket", "stat", "subprocess", "sys", "tempfile", "threading", "time", "urllib",
    "uuid",
})
MACHINE_BUILTINS = frozenset({"open", "print", "input", "exec", "eval", "__import__", "breakpoint"})

# Third party → (modules that may import it, whether only inside a function).
THIRD_PARTIES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "yaml": (("nvsim", "scenarios"), ("toolkit.gather.cdi_dirs",)),
    "tomlkit": ((), ("toolkit.cmd.ctk",)),
    "grpc": (("toolkit.plugin",), ("scenarios.engines.cri",)),
    "cri_api": ((), ("scenarios.engines.cri",)),
    "google": (("toolkit.plugin",), ()),
    "rich": (("nvsim.cli", "scenarios.report"), ()),
    "docker": ((), ("scenarios.engines.docker",)),
    "jinja2": ((), ("scenarios.html",)),
    "pytest": (("nvsim.pytest_plugin",), ()),
    "pynvml": ((), ("nvsim.record_nvml",)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """One imported module, as the importer names it.  `deferred`: only when a function runs; `typed`: only for mypy."""

    importer: str
    module: str
    line: int
    deferred: bool
    typed: bool

    def __str__(self) -> str:
        return f"{self.importer}:{self.line} imports {self.module}"


def within(module: str, prefix: str) -> bool:
    return module == prefix or module.startswith(prefix + ".")


def module_name(path: Path) -> str:
    parts = path.relative_to(TOP).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def sources(*packages: str) -> dict[str, ast.Module]:
    paths = [path for package in packages for path in sorted((TOP / package).rglob("*.py"))]
    return {module_name(path): ast.parse(path.read_text(), str(path)) for path in paths}


SOURCES = sources("toolkit", "nvsim", "scenarios")
MODULES = frozenset(SOURCES)
PACKAGES = frozenset(module_name(path) for package in OURS[:3] for path in (TOP / package).rglob("__init__.py"))


def imports_of(name: str, tree: ast.Module) -> Iterator[Import]:
    """Every import statement of a module; of `from package import module`, the module."""
    yield from _walk(name, tree, deferred=False, typed=False)


def _walk(name: str, node: ast.AST, *, deferred: bool, typed: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            for module in _named(name, child):
                yield Import(importer=name, module=module, line=child.lineno, deferred=deferred, typed=typed)
        inside = deferred or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        guarded = typed or (isinstance(child, ast.If) and isinstance(child.test, ast.Name)
                            and child.test.id == "TYPE_CHECKING")
        yield from _walk(name, child, deferred=inside, typed=guarded)


def _named(importer: str, statement: ast.Import | ast.ImportFrom) -> list[str]:
    if isinstance(statement, ast.Import):
        return [alias.name for alias in statement.names]
    base = statement.module or ""
    if statement.level:
        package = importer if importer in PACKAGES else importer.rpartition(".")[0]
        up = package.split(".")[: len(package.split(".")) - statement.level + 1]
        base = ".".join([*up, *([base] if base else [])])
    full = [f"{base}.{alias.name}" for alias in statement.names]
    return [module if module in MODULES else base for module in full]


IMPORTS = [found for name, tree in SOURCES.items() for found in imports_of(name, tree)]


def of_ours(module: str) -> bool:
    return module.partition(".")[0] in OURS


def allowed(found: Import) -> bool:
    rule = max((prefix for prefix in ALLOWED if within(found.importer, prefix)), key=len)
    if within(found.importer, "scenarios") and found.module in SCENARIOS_EXACT:
        return True
    if rule == "nvsim" and within(found.module, "nvsim.cli"):
        return False
    return any(within(found.module, prefix) for prefix in ALLOWED[rule])


def test_there_is_something_to_check():
    assert {"toolkit.errors", "toolkit.plan.generate", "nvsim.errors"} <= MODULES
    assert len(IMPORTS) > 100


def test_every_import_of_ours_goes_the_way_that_LAYOUT_draws():
    wrong = {str(found) for found in IMPORTS if of_ours(found.module) and not allowed(found)}
    assert wrong == set()


def test_model_and_plan_import_nothing_that_touches_the_machine():
    wrong = [str(found) for found in IMPORTS if found.importer.startswith(PURE)
             and found.module.partition(".")[0] in MACHINE_MODULES]
    assert wrong == []


def test_model_and_plan_call_nothing_that_touches_the_machine():
    wrong = [
        f"{name}:{node.lineno} calls {node.func.id}"
        for name, tree in SOURCES.items() if name.startswith(PURE)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in MACHINE_BUILTINS
    ]
    assert wrong == []


def test_third_parties_stay_where_LAYOUT_lets_them():
    wrong = []
    for found in IMPORTS:
        name = found.module.partition(".")[0]
        if name in sys.stdlib_module_names or of_ours(found.module):
            continue
        anywhere, in_functions = THIRD_PARTIES.get(name, ((), ()))
        fits = any(within(found.importer, prefix) for prefix in anywhere) or (
            found.deferred and any(within(found.importer, prefix) for prefix in in_functions))
        if not fits and not found.typed:
            wrong.append(str(found))
    assert wrong == []


def test_nothing_imports_tests():
    assert [str(found) for found in IMPORTS if within(found.module, "tests")] == []


def test_no_module_imports_itself_by_way_of_others():
    graph: dict[str, set[str]] = {name: set() for name in SOURCES}
    for found in IMPORTS:
        if found.module in graph and not found.deferred and not found.typed and found.module != found.importer:
            graph[found.importer].add(found.module)
    assert cycle_in(graph) == []


def cycle_in(graph: dict[str, set[str]]) -> list[str]:
    """The modules of one cycle, or none: depth first, with the path so far."""
    finished: set[str] = set()

    def visit(name: str, path: list[str]) -> list[str]:
        if name in path:
            return [*path[path.index(name):], name]
        if name in finished:
            return []
        for other in sorted(graph[name]):
            if found := visit(other, [*path, name]):
                return found
        finished.add(name)
        return []

    return next((found for name in graph if (found := visit(name, []))), [])


def test_packages_are_empty_but_for_their_version():
    wrong = []
    for package in PACKAGES:
        documented = ast.get_docstring(SOURCES[package]) is not None
        statements = SOURCES[package].body[1 if documented else 0:]
        versions = [n for n in statements if isinstance(n, ast.Assign) and isinstance(n.targets[0], ast.Name)
                    and n.targets[0].id.startswith("__version")]
        if len(statements) != len(versions):
            wrong.append(package)
    assert wrong == []


@pytest.mark.parametrize(("importer", "source", "expected"), [
    ("toolkit.plan.x", "import os", ["os"]),
    ("toolkit.plan.x", "from toolkit.gather import driver", ["toolkit.gather.driver"]),
    ("toolkit.plan.x", "from toolkit.errors import ToolkitError", ["toolkit.errors"]),
    ("toolkit.apply.x", "from ..errors import ToolkitError", ["toolkit.errors"]),
    ("toolkit.apply.x", "from . import bundle", ["toolkit.apply.bundle"]),
    ("toolkit.plan.x", "def f():\n    import nvsim.board", ["nvsim.board"]),
    ("toolkit.plan.x", "if TYPE_CHECKING:\n    import time", ["time"]),
])
def test_an_import_is_found_in_whatever_form_it_is_written(importer, source, expected):
    assert [found.module for found in imports_of(importer, ast.parse(source))] == expected


def test_a_cycle_is_found():
    assert cycle_in({"a": {"b"}, "b": {"c"}, "c": {"a"}}) == ["a", "b", "c", "a"]
    assert cycle_in({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


@pytest.mark.parametrize(("importer", "module", "expected"), [
    ("toolkit.gather.driver", "toolkit.plan.edits", False),
    ("toolkit.apply.ops", "toolkit.gather.driver", False),
    ("toolkit.cmd.runtime", "toolkit.gather.driver", True),
    ("toolkit.cmd.runtime", "nvsim.board", False),
    ("nvsim.build", "toolkit.gather.ldcache", False),
    ("nvsim.build", "nvsim.cli", False),
    ("scenarios.runner", "toolkit.cmd.runtime", True),
    ("scenarios.runner", "toolkit.gather.driver", False),
])
def test_the_rules_say_what_LAYOUT_says(importer, module, expected):
    assert allowed(Import(importer=importer, module=module, line=1, deferred=False, typed=False)) is expected
