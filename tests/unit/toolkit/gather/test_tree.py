"""The file system of a machine below a mount: links, patterns, locators."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.gather.locate import LIBRARY_FOLDERS, Locator, find_hook
from toolkit.gather.tree import Tree


def grown(root: Path, *paths: str) -> Tree:
    """A tree of files; "a -> b" is a symbolic link, a name ending in "/" a folder, one ending in "!" a program."""
    for path in paths:
        name, _, target = path.partition(" -> ")
        place = root / name.rstrip("!").lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        if target:
            place.symlink_to(target)
        elif name.endswith("/"):
            place.mkdir(exist_ok=True)
        else:
            place.touch(0o755 if name.endswith("!") else 0o644)
    return Tree(str(root))


def test_absolute_links_stay_within_the_machine(tmp_path: Path) -> None:
    tree = grown(tmp_path, "/opt/real.so", "/lib/a.so -> /opt/real.so", "/var/run -> /run", "/run/x/sock")
    assert tree.resolve("/lib/a.so") == "/opt/real.so"
    assert tree.resolve("/var/run/x/sock") == "/run/x/sock"
    assert tree.resolve("/var/run/x/../../../../run") == "/run"


def test_loops_and_missing_ends_lead_nowhere(tmp_path: Path) -> None:
    tree = grown(tmp_path, "/a -> b", "/b -> a", "/c -> c/d", "/dangling -> /nowhere")
    assert [tree.resolve(path) for path in ("/a", "/b/x", "/c", "/dangling", "/x")] == [""] * 5
    assert list(tree.chain("/a")) == ["/a", "/b"]
    assert tree.is_link("/dangling") and not tree.is_file("/dangling")


def test_a_very_deep_path_is_absent(tmp_path: Path) -> None:
    assert Tree(str(tmp_path)).resolve("/x" * 5000) == ""


def test_a_chain_has_every_link_on_the_way(tmp_path: Path) -> None:
    tree = grown(tmp_path, "/l/a -> b", "/l/b -> ../m/c", "/m/c")
    assert list(tree.chain("/l/a")) == ["/l/a", "/l/b", "/m/c"]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("/lib/lib*.so.*.*", ["/lib/liba.so.1.2", "/lib/libb.so.3.4"]),
        ("/lib/libb.so.3.4", ["/lib/libb.so.3.4"]),
        ("/?ib/lib[a-b].so.?.?", ["/lib/liba.so.1.2", "/lib/libb.so.3.4"]),
        ("/[l]ib/lib[^a].so.*", ["/lib/libb.so.3.4"]),
        ("/lib/.h*", ["/lib/.hidden"]),
        ("/lib/*den", ["/lib/.hidden"]),
        (r"/lib/odd\*name", ["/lib/odd*name"]),
        ("/lib/[", []),
        ("/*.so", []),
        ("/nowhere/*", []),
        ("/link/lib*2", ["/link/liba.so.1.2"]),
    ],
)
def test_patterns_match_as_in_go(tmp_path: Path, pattern: str, found: list[str]) -> None:
    tree = grown(tmp_path, "/lib/liba.so.1.2", "/lib/libb.so.3.4", "/lib/.hidden", "/lib/odd*name", "/link -> lib")
    assert list(tree.glob(pattern)) == found


@given(st.text(alphabet="ab*?[]^-\\/.", max_size=12))
def test_any_pattern_has_an_answer(pattern: str) -> None:
    assert Tree("/nonexistent").glob("/" + pattern.strip("/")) == ()
    Tree.matcher(pattern)("ab")


def test_fixed_folders_come_before_the_loaders_cache(tmp_path: Path) -> None:
    tree = grown(
        tmp_path, "/usr/lib64/libcuda.so.1.2", "/lib64/libcuda.so.3.4", "/usr/lib64/libcuda.so.1 -> libcuda.so.1.2"
    )
    assert Locator(tree).libraries("libcuda.so.*.*") == ("/usr/lib64/libcuda.so.1.2", "/lib64/libcuda.so.3.4")
    assert Locator(tree).libraries("libcuda.so.1") == ("/usr/lib64/libcuda.so.1.2",)


def test_the_loaders_cache_finds_what_lies_elsewhere(tmp_path: Path) -> None:
    from test_gather_ldcache import cache

    tree = grown(
        tmp_path, "/var/lib/nvidia/libcuda.so.535.1.2", "/var/lib/nvidia/libcuda.so.1 -> libcuda.so.535.1.2", "/etc/"
    )
    entries = [(0x0303, "libcuda.so.1", "/var/lib/nvidia/libcuda.so.1"), (0x0003, "lib32.so", "/lib32.so")]
    (tmp_path / "etc/ld.so.cache").write_bytes(cache(*entries, (0x0303, "gone.so", "/gone.so")))
    locator = Locator(tree)
    # The name in the cache has one number; the link's target has the one that is asked for.
    assert locator.libraries("libcuda.so.*.*") == ("/var/lib/nvidia/libcuda.so.535.1.2",)
    assert locator.libraries("gone.so") == ()
    assert locator.notes == []


def test_an_unusable_cache_is_a_note_once(tmp_path: Path) -> None:
    locator = Locator(grown(tmp_path, "/etc/ld.so.cache"))
    assert locator.libraries("liba.so") == locator.libraries("libb.so") == ()
    assert len(locator.notes) == 1 and locator.notes[0].startswith("Failed to load ldcache: ")


def test_explicit_folders_replace_all_others_and_ignore_the_driver_root(tmp_path: Path) -> None:
    tree = grown(tmp_path, "/d/usr/lib64/libx.so.1.2", "/opt/libx.so.3.4")
    locator = Locator(tree, "/d", library_folders=("/opt",))
    assert locator.libraries("libx.so.*.*") == ("/opt/libx.so.3.4",)
    assert locator.inside("/opt/libx.so.3.4") == "/opt/libx.so.3.4"


def test_the_driver_root_is_taken_off_as_text() -> None:
    locator = Locator(Tree("/nonexistent"), "/run/nvidia/driver/")
    assert locator.below("/usr/bin/x") == "/run/nvidia/driver/usr/bin/x"
    assert locator.inside("/run/nvidia/driver/usr/bin/x") == "/usr/bin/x"
    assert all(folder.startswith("/") for folder in LIBRARY_FOLDERS)


def test_programs_must_be_executable_and_come_from_below_the_root(tmp_path: Path) -> None:
    tree = grown(
        tmp_path, "/d/usr/bin/nvidia-smi", "/d/bin/nvidia-smi!", "/usr/bin/nvidia-imex!", "/d/opt/x!", "/d/sbin/x/"
    )
    locator = Locator(tree, "/d", environment=(("PATH", "/opt:"),))
    assert locator.executable("nvidia-smi") == "/d/bin/nvidia-smi"
    assert locator.executable("nvidia-imex") == ""
    assert locator.executable("x") == "/d/opt/x"


def test_configuration_comes_from_etc_then_the_data_folders(tmp_path: Path) -> None:
    tree = grown(tmp_path, "/etc/a.json", "/usr/share/a.json", "/opt/a.json", "/b.json")
    assert Locator(tree).configs("a.json") == ("/etc/a.json", "/usr/share/a.json")
    data = Locator(tree, environment=(("XDG_DATA_DIRS", "/opt"),))
    assert data.configs("a.json") == ("/etc/a.json", "/opt/a.json")
    assert Locator(tree, config_folders=("/opt",)).configs("a.json") == ("/opt/a.json",)
    assert Locator(tree).config("b.json") == "/b.json"


@pytest.mark.parametrize(
    ("given_path", "path", "warning"),
    [
        ("/any/where", "/any/where", ""),
        ("", "/usr/local/bin/nvidia-cdi-hook", ""),
        ("nvidia-ctk", "/usr/bin/nvidia-ctk", "Failed to locate nvidia-ctk: nvidia-ctk: not found"),
        ("other", "/usr/bin/nvidia-cdi-hook", "Failed to locate other: other: not found"),
    ],
)
def test_the_hook_program_is_found_or_guessed(tmp_path: Path, given_path: str, path: str, warning: str) -> None:
    grown(tmp_path, "/usr/local/bin/nvidia-cdi-hook!")
    assert find_hook(given_path, {"PATH": "/bin"}, root=str(tmp_path)) == (path, warning)
