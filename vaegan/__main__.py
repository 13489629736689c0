"""``python -m vaegan``: the command line."""

import sys

from vaegan.cli import main

sys.exit(main())
