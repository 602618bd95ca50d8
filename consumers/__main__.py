"""`python -m consumers` is `calodqm`."""

import sys

from consumers.cli.command import main

sys.exit(main())
