"""python3 -m toolkit.cmd.installer"""

import sys

from toolkit.cmd.installer.main import NAME, main

sys.exit(main([NAME, *sys.argv[1:]]))
