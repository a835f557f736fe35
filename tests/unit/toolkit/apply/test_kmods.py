"""What --load-kmods finds out before it does anything."""

from pathlib import Path

import pytest

from toolkit.apply.kmods import count_gpus, in_user_namespace, is_loaded

WHOLE = "         0          0 4294967295\n"


@pytest.mark.parametrize(
    ("files", "inside"),
    [
        ({"uid_map": WHOLE, "gid_map": WHOLE, "setgroups": "allow\n"}, False),
        ({}, False),
        ({"uid_map": "0 100000 65536\n", "gid_map": WHOLE}, True),
        ({"uid_map": WHOLE, "gid_map": ""}, True),
        ({"uid_map": WHOLE, "gid_map": WHOLE, "setgroups": "deny\n"}, True),
    ],
)
def test_a_user_namespace_shows_in_its_maps(tmp_path: Path, files: dict[str, str], inside: bool) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert in_user_namespace(str(tmp_path)) is inside


def test_display_controllers_of_nvidia_are_counted(tmp_path: Path) -> None:
    for name, vendor, kind in (
        ("a", b"\xde\x10", 3),
        ("b", b"\xde\x10", 3),
        ("c", b"\xde\x10", 6),
        ("d", b"\x86\x80", 3),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config").write_bytes(vendor + bytes(9) + bytes((kind,)) + bytes(52))
    (tmp_path / "e").mkdir()
    assert count_gpus(str(tmp_path)) == 2
    assert count_gpus(str(tmp_path / "nosuch")) == 0


def test_a_module_is_loaded_when_either_list_has_it(tmp_path: Path) -> None:
    (tmp_path / "sys/nvidia").mkdir(parents=True)
    (tmp_path / "modules").write_text("nvidia-uvm 1 0 - Live 0x0 (POE)\nnvidia_modeset_x 1 0\n")
    found = [
        name
        for name in ("nvidia", "nvidia_uvm", "nvidia_modeset")
        if is_loaded(name, str(tmp_path / "sys"), str(tmp_path / "modules"))
    ]
    assert found == ["nvidia", "nvidia_uvm"]
    assert not is_loaded("nvidia", "/nosuch", "/nosuch")
