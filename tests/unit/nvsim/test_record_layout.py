"""Which driver and which layout a machine has, read from hosts that lie in a folder."""

import pytest

from nvsim import build, catalogue, profile, record_layout


@pytest.fixture
def built(tmp_path):
    """Builds a host from keys of a profile: its root."""

    def make(**keys):
        root = tmp_path / "host"
        build.build(profile.of(keys, "test"), str(root), nodes=False)
        return root

    return make


def release(root, text):
    (root / "etc").mkdir(parents=True, exist_ok=True)
    (root / "etc/os-release").write_text(text)


@pytest.mark.parametrize("place", record_layout.ROOTS)
def test_the_driver_is_found_where_it_is(built, place):
    root = built(profile="t4x1", driver_root=place)
    found = record_layout.driver(str(root))
    assert found
    assert (found.root, found.version) == (place, "550.54.15")
    assert found.library == f"{root}{place.rstrip('/')}/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1"


def test_of_two_versions_the_one_that_programs_load_counts(built):
    root = built(profile="t4x1")
    for name in ("libcuda.so.580.65.06", "libnvidia-ml.so.580.65.06"):
        (root / "usr/lib/x86_64-linux-gnu" / name).touch()
    found = record_layout.driver(str(root))
    assert found
    assert found.version == "550.54.15"


@pytest.mark.parametrize("name", catalogue.layout_names())
def test_the_layout_shows_in_the_drivers_files(built, name):
    found = record_layout.driver(str(built(profile="t4x1", layout=name, compat32=True)))
    assert found
    assert found.layout == name


@pytest.mark.parametrize(("text", "layout"), [
    ('ID=ubuntu\nID_LIKE=debian\nVERSION_ID="24.04"\n', "ubuntu24.04"),
    ('ID="rocky"\nID_LIKE="rhel centos fedora"\nVERSION_ID="9.4"\n', "rhel9"),
    ('ID="almalinux"\nID_LIKE="rhel centos fedora"\nVERSION_ID="8.10"\n', "rhel8"),
    ('ID="amzn"\nID_LIKE="fedora"\nVERSION_ID="2023"\n', "amazonlinux2023"),
    ('ID="opensuse-leap"\nID_LIKE="suse opensuse"\nVERSION_ID="15.6"\n', "sles15"),
    ("ID=fedora\nVERSION_ID=41\n", "fedora41"),
    ("ID=arch\n", "arch"),
])
def test_without_driver_the_layout_is_that_of_the_systems_name(tmp_path, text, layout):
    release(tmp_path, text)
    assert record_layout.layout(str(tmp_path)) == layout


def test_an_equal_layout_of_the_systems_name_comes_before_another(built):
    root = built(profile="t4x1")
    release(root, "ID=ubuntu\nVERSION_ID=24.04\n")
    found = record_layout.driver(str(root))
    assert found
    assert found.layout == "ubuntu24.04"


def test_a_system_of_another_name_has_the_layout_that_its_files_follow(built):
    root = built(profile="no-driver", layout="rhel9")
    release(root, "ID=other\nVERSION_ID=1\n")
    assert record_layout.driver(str(root)) is None
    assert catalogue.layout(record_layout.layout(str(root))).dirs["libdir"] == "/usr/lib64"
