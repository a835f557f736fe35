"""`python3 -m nvsim`: the command without an installation.

On a machine without a package index it finds the packages that it needs in PACKAGES, where another machine put them.
"""

import os
import sys

PACKAGES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "native", "out", "packages")
NEEDED = {"yaml": "PyYAML", "rich": "rich", "tomlkit": "tomlkit", "jinja2": "Jinja2"}

sys.path.append(PACKAGES)

from nvsim.cli import main  # noqa: E402  (the path comes first)

try:
    code = main()
except ModuleNotFoundError as e:
    if e.name not in NEEDED:
        raise
    names = " ".join(NEEDED.values())
    print(f"nvsim: the Python package {NEEDED[e.name]} is not installed\n"
          f"  hint: pip install {names}; without a package index, on another machine: "
          f"pip install --target {os.path.relpath(PACKAGES)} {names}, and copy the folder", file=sys.stderr)
    code = 1
sys.exit(code)
