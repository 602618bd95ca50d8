"""The command line: `calodqm COMMAND`; every command is one module of its name in `commands`."""

from __future__ import annotations

import argparse
import importlib
import io
import logging
import os
import sys
from typing import TYPE_CHECKING

from consumers import VERSION
from consumers.app.ending import heed_the_end
from consumers.wire.user_error import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

ABOUT = "Watch the data of a calorimeter as they come: is it bad, where, since when, and how sure."
COMMANDS = {
    "demo": "everything on one machine, with nothing else installed",
    "broker": "a Kafka broker on this machine to try things with, while there is no other",
    "run": "the service: score showers and judge windows",
    "score": "one score worker",
    "judge": "one judge",
    "train": "fit a model to showers of a good run or a simulation",
    "apply": "score a shower file, a row a shower",
    "evaluate": "measure a model on good and anomalous showers",
    "simulate": "turn a shower file into a live stream, with faults",
    "detector": "show what a detector file says, in words and drawn",
    "records": "for authors of producers: check records, print the contract, write examples",
    "replay": "what would it have said of a past range?",
    "report": "what the runs of a week came to, without reading their seconds",
    "reference": "show, freeze, reset, roll back, anchor or make the reference; tell conditions",
    "runs": "say that a run begins or has ended, also one with a lower number",
    "model": "announce, compare, switch to and retire models while data flow",
    "ack": "acknowledge an alarm: cause, mask, until when",
    "mask": "leave regions, cells or channels out, with no alarm to answer",
    "flags": "the good-run list",
    "gains": "the gain of every read-out channel, with its error, as Parquet",
    "grafana": "push data source, folder and dashboards; mark alarms on them",
    "bench": "the figures of the README, on this machine",
    "plan": "disk, network, workers and memory for a detector of some size",
    "doctor": "what is wrong here, and the mend",
}
"""Command and its help. The module is imported only when it is called: torch takes seconds."""

ELSEWHERE = {"bench": "consumers.bench.command"}
"""Commands whose module is not in `commands`: by its name, for their room lies above this one."""


def parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    """Return the parser with the options of the command that `arguments` name, if any."""
    top = argparse.ArgumentParser(prog="calodqm", description=ABOUT, allow_abbrev=False)
    top.add_argument("--version", action="version", version=f"calodqm {VERSION}")
    top.add_argument("-v", "--verbose", action="store_true", help="log what is done, to stderr")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    named = next((word for word in arguments if not word.startswith("-")), None)
    for name, text in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        if name == named:
            module = importlib.import_module(ELSEWHERE.get(name, f"consumers.cli.commands.{name}"))
            module.add_arguments(command)
            command.set_defaults(run=module.run)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0 done, 1 found bad, 2 wrong use, 130 interrupted."""
    # Threads of NumPy's products wait for work by spinning: a second core is busy and nothing gained.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # heard when NumPy is imported, so not later
    heed_the_end()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # an output may take ASCII only
            stream.reconfigure(errors="backslashreplace")
    words = sys.argv[1:] if arguments is None else arguments
    args = parser(words).parse_args(words)
    logging.basicConfig(
        level=logging.INFO if args.verbose else logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    try:
        return int(args.run(args))
    except UserError as error:
        print(f"calodqm {args.command}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # whoever reads has seen enough; Python would say more at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


if __name__ == "__main__":
    sys.exit(main())
