"""calodqm broker: a broker on this machine, to try things with while there is no other."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from consumers.app.embedded import EmbeddedBroker, taken
from consumers.app.ending import stop_on_signals
from consumers.wire.user_error import UserError

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `calodqm broker`."""
    parser.add_argument("--port", type=int, default=9092, help="of loopback (%(default)s)")


def run(args: argparse.Namespace) -> int:
    """Keep a broker until told to stop; then all that it holds is gone."""
    if taken(args.port):
        raise UserError(f"something listens on 127.0.0.1:{args.port} already: try --port")
    stopping = threading.Event()
    stop_on_signals(stopping)
    with EmbeddedBroker(port=args.port) as broker:
        keeps = (
            f"{broker.memory_limit / 2**30:.1f} GiB at most, in memory"
            if broker.in_memory
            else "on disk"
        )
        print(
            f"{broker.name} on {broker.bootstrap}, until Ctrl-C: what it keeps ({keeps}) goes with it",
            flush=True,
        )
        while not stopping.wait(1.0):
            broker.check()
    return 0
