"""The toolkit's packages, built from this checkout, for tests on emulated hosts."""

import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
SYSTEMD = TOP / "ci/packages/systemd"
sys.path.append(str(TOP / "ci/packages"))


def build(output: Path, kind: str) -> list[Path]:
    """Packages of a kind, deb or rpm; their files."""
    done = subprocess.run([sys.executable, TOP / "ci/packages/build_packages.py", kind, "--output", output], text=True,
                          capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return sorted(map(Path, done.stdout.split()))


def stage_all(root: Path) -> None:
    """The files of all packages below `root`."""
    from build_packages import stage  # type: ignore[import-not-found]
    from contents import PACKAGES  # type: ignore[import-not-found]

    for package in PACKAGES:
        stage(package, root, "deb")
