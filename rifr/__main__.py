"""`python -m rifr`: see `rifr.cli`."""

import sys

from rifr.cli import main

sys.exit(main())
