"""Missing files and the loader's cache of a host as it lies in a folder."""

import os

import pytest

from nvsim import build, profile, record_files
from nvsim.errors import NvsimError
from nvsim.profile import Cache

ENCODE = "/usr/lib/x86_64-linux-gnu/libnvidia-encode.so*"


@pytest.fixture
def built(tmp_path):
    """Builds a host from keys of a profile: its root and the profile."""

    def make(**keys):
        one = profile.of(keys, "test")
        build.build(one, str(tmp_path / "host"), nodes=False)
        return str(tmp_path / "host"), one

    return make


@pytest.mark.parametrize("keys", [
    {}, {"ldcache": "absent"}, {"absent": [ENCODE]}, {"absent": [ENCODE], "ldcache": "stale"},
    {"ldcache": {"lacks": ["libcuda.so", "libcuda.so.1"]}}, {"ldcache": {"lacks": ["*"]}}])
def test_the_caches_state_is_found(built, keys):
    root, one = built(profile="t4x1", **keys)
    assert record_files.cache(root, one) == one.ldcache


@pytest.mark.parametrize("data", [b"", b"not a cache", b"glibc-ld.so.cache1.1\xff\xff\0\0" + bytes(40)])
def test_a_cache_that_is_none_is_an_error_that_names_the_file(built, data):
    root, one = built(profile="t4x1")
    with open(f"{root}/etc/ld.so.cache", "wb") as f:
        f.write(data)
    with pytest.raises(NvsimError, match="/etc/ld.so.cache: not a loader cache"):
        record_files.cache(root, one)


def test_a_cache_with_the_older_format_in_front_is_read_too(built):
    root, one = built(profile="t4x1")
    path = f"{root}/etc/ld.so.cache"
    with open(path, "rb") as f:
        data = f.read()
    with open(path, "wb") as f:
        f.write(b"ld.so-1.7.0\0" + bytes(36) + data)
    assert record_files.cache(root, one) == Cache()


def test_missing_files_become_patterns_of_folders_libraries_and_names(built):
    root, one = built(profile="t4x1")
    folder = "/usr/lib/x86_64-linux-gnu"
    for name in os.listdir(root + folder):
        if name.startswith("libnvidia-encode.so"):
            os.unlink(f"{root}{folder}/{name}")
    os.unlink(f"{root}{folder}/libnvidia-ml.so")
    for name in os.listdir(f"{root}/usr/lib/firmware/nvidia/550.54.15"):
        os.unlink(f"{root}/usr/lib/firmware/nvidia/550.54.15/{name}")
    assert record_files.absent(root, one) == ("/usr/lib/firmware/nvidia/550.54.15",
                                              f"{folder}/libnvidia-encode.so*", f"{folder}/libnvidia-ml.so")
    assert record_files.absent(root, profile.of({"profile": "t4x1", "absent": list(record_files.absent(root, one))},
                                                "test")) == ()
