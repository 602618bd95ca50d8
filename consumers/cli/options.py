"""Options that several commands share, and what is written in them."""

from __future__ import annotations

import argparse
import getpass
import os
import time
from datetime import UTC, datetime

from consumers.wire.user_error import UserError
from models.scoring.fitness import Unfitness


def add_who(parser: argparse.ArgumentParser) -> None:
    """Add the option that says who speaks."""
    parser.add_argument("--who", default=_login(), metavar="NAME", help="who says so")


def add_despite(parser: argparse.ArgumentParser) -> None:
    """Add the option by which somebody takes a model that does not fit."""
    parser.add_argument(
        "--despite",
        type=_unfitness,
        default=(),
        metavar="WHAT",
        help="take a model although this does not fit: latents, calibration or losses, with commas "
        "between; its card, doctor and page say so, and it cannot be announced",
    )


def _unfitness(text: str) -> tuple[Unfitness, ...]:
    try:
        return tuple(Unfitness(word.strip()) for word in text.split(","))
    except ValueError:
        known = ", ".join(Unfitness)
        raise argparse.ArgumentTypeError(f"{text!r}: name some of {known}") from None


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user need not have a name
        return f"uid {os.getuid()}"


def time_ns(text: str) -> int:
    """Return ns since 1970 UTC of ISO 8601, or of how long ago, such as 30m."""
    units = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
    if text == "now":
        return time.time_ns()
    if text[-1:] in units and text[:-1].isdigit():
        return time.time_ns() - int(text[:-1]) * units[text[-1]] * 10**9
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UserError(f"time {text!r}: write ISO 8601, now, or how long ago: 30m") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1e6) * 1000
