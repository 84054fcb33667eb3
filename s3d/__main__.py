"""`python -m s3d` is the `s3d` command."""

import sys

from s3d.cli import main

if __name__ == "__main__":
    sys.exit(main())
