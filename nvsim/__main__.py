"""`python3 -m nvsim`: the command without an installation."""

import sys

from nvsim.cli import main

sys.exit(main())
