"""``python -m vaegan``: the command line."""

import sys

from vaegan.cli import main

if __name__ == "__main__":
    sys.exit(main())
