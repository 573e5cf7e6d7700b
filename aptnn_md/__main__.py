"""``python -m aptnn_md`` is the command ``aptnn-md``."""

import sys

from aptnn_md.cli import main

if __name__ == "__main__":
    sys.exit(main())
