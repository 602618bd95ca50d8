"""Bytes in, verdicts out: the service, its command line and its benchmarks.

Rooms, each may import those below it: bench, cli, app, then score, judge and http side by side,
exactly_once, kafka, wire.
"""

from typing import Final

VERSION: Final = "0.1.0"
