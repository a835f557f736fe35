"""In-root path resolution, as libnvidia-container does it."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.errors import HostError, ToolkitError
from toolkit.gather.legacy_root import Root, resolve_in


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "a/b").mkdir(parents=True)
    (root / "a/b/file").write_text("x")
    (root / "absolute").symlink_to("/a/b")
    (root / "out").symlink_to("../../../etc/passwd")
    (root / "loop").symlink_to("loop")
    (root / "a/up").symlink_to("../a/b")
    (tmp_path / "secret").write_text("SECRET")
    return root


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/a/b/file", "/a/b/file"),
        ("absolute/file", "/a/b/file"),
        ("/a/up/./file", "/a/b/file"),
        ("/a/../a//b", "/a/b"),
        ("/missing/x/../y", "/missing/y"),
        ("/missing/../absolute/file", "/a/b/file"),
        ("/", "/"),
        ("", "/"),
    ],
)
def test_paths_are_followed_inside_the_root(tree: Path, path: str, found: str) -> None:
    with Root(str(tree)) as root:
        assert root.resolve(path) == found


def test_climbing_out_is_an_error(tree: Path) -> None:
    with Root(str(tree), name="/r") as root:
        for path in ("/..", "/out", "/a/../../x"):
            with pytest.raises(HostError) as e:
                root.resolve(path)
            assert str(e.value) == f"path error: {path} resolves outside of /r"


def test_a_loop_is_an_error(tree: Path) -> None:
    with Root(str(tree), name="/r") as root, pytest.raises(HostError) as e:
        root.resolve("/loop")
    assert str(e.value) == "path error: /r//loop: too many levels of symbolic links"


def test_nineteen_links_are_followed_and_the_twentieth_is_not(tree: Path) -> None:
    (tree / "l0").symlink_to("a")
    for i in range(1, 20):
        (tree / f"l{i}").symlink_to(f"l{i - 1}")
    with Root(str(tree)) as root:
        assert root.resolve("/l18") == "/a"
        with pytest.raises(HostError, match="too many levels"):
            root.resolve("/l19")


def test_a_file_used_as_a_directory_is_an_error(tree: Path) -> None:
    with (
        Root(str(tree), name="/r") as root,
        pytest.raises(HostError, match="path error: /r//a/b/file/x: not a directory"),
    ):
        root.resolve("/a/b/file/x")


def test_reading_never_leaves_the_root_nor_waits(tree: Path) -> None:
    os.mkfifo(tree / "fifo")
    with Root(str(tree)) as root:
        assert root.read("/a/b/file") == b"x"
        assert root.read("/fifo") is None
        assert root.read("/a") is None
        assert root.listing("/absolute") == ["file"]
        assert root.listing("/nosuch") == []


@given(
    st.lists(st.sampled_from(["a", "b", "..", ".", "", "l", "m", "n"]), max_size=12),
    st.dictionaries(
        st.sampled_from(["/a", "/l", "/a/l", "/m", "/a/b"]),
        st.sampled_from(["/", "..", "../..", "/a/b", "l", "../a", "/m/../n"]),
    ),
)
def test_any_links_give_a_path_inside_or_an_error(parts: list[str], links: dict[str, str]) -> None:
    def readlink(path: str) -> str:
        if path.endswith("n"):
            raise FileNotFoundError
        return links.get(path, "")

    try:
        found = resolve_in("/" + "/".join(parts), readlink, "/root")
    except ToolkitError:
        return
    assert found.startswith("/") and ".." not in found.split("/")
