"""`python -m consumers` is `calodqm`."""

import sys

from consumers.command import main

sys.exit(main())
