"""calodqm score: one score worker; run as many as there are partitions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from consumers.app import environment, program, settings

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `calodqm score`."""
    environment.add_arguments(parser, *settings.SERVICE)


def run(args: argparse.Namespace) -> int:
    """Serve until SIGTERM or Ctrl-C."""
    return program.serve(environment.from_arguments(args), worker=True, judge=False)
