"""What ldconfig notes of files, for all roots of a kernel at once: a machine has notes of its own."""

import subprocess
import sys
from collections.abc import Callable

import pytest

pytestmark = pytest.mark.host

# In a mount namespace of its own, where nobody else writes the notes: a folder in the place of those of this machine,
# or none, then a host that is entered and whose ldconfig runs, then the folder again.
SCRIPT = """
set -e
mount --make-rprivate /
mount -t tmpfs none /var/cache
if [ "$1" = there ]; then mkdir -m 700 /var/cache/ldconfig; fi
touch /var/cache/others
"$0" -m nvsim exec t4x1 -- sh -c '
    set -e; /sbin/ldconfig -X; test -s /var/cache/ldconfig/aux-cache; test -f /var/cache/others
    stat -c %a /var/cache/ldconfig'
find /var/cache -mindepth 1 | sort
"""


@pytest.mark.parametrize("before", ["there", "missing"])
def test_a_machine_writes_notes_of_its_own_and_leaves_those_of_this_one(before: str,
                                                                        requires: Callable[..., None]) -> None:
    requires("root", "ldconfig", "unshare")
    done = subprocess.run(["unshare", "-m", "sh", "-c", SCRIPT, sys.executable, before], check=False,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    left = ["/var/cache/ldconfig"] if before == "there" else []
    assert done.stdout.split() == ["700", *left, "/var/cache/others"]
