"""Units file: figures that add up over calls, kept in a file with their tables beside it."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from consumers.bench.plan import commit

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

Figures = dict[str, Any]
"""What is measured, as JSON values."""

Unit = dict[str, Any]
"""What came of one unit: its `part`, `seed`, `commit`, `done`, `cpu_s` and figures."""


@dataclass(frozen=True)
class Task:
    """The unit to make next: what tells it from others, and what makes it."""

    title: str
    said: Figures
    make: Callable[[], Figures]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of a command that makes units."""
    parser.add_argument(
        "--minutes", type=float, default=60.0, help="begin no unit after so many (%(default)g)"
    )
    parser.add_argument("--units", type=int, metavar="N", help="make no more than so many")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="JSON",
        help="units that are done; new ones are added, tables go beside it, as .md",
    )  # fmt: skip


def fill(
    args: argparse.Namespace,
    following: Callable[[list[Unit]], Task],
    page: Callable[[list[Unit]], str],
) -> list[Unit]:
    """Make units until time is over or there are enough, each kept as soon as it is made."""
    done, console = read(args.out), Console(stderr=True)
    ends, left = time.monotonic() + 60 * args.minutes, args.units
    while time.monotonic() < ends and left != 0:
        task = following(done)
        began, made_by = time.process_time(), commit()
        figures = task.make()
        cpu = round(time.process_time() - began, 3)
        at = datetime.now(UTC).isoformat(timespec="seconds")
        done.append({**task.said, "commit": made_by, "done": at, "cpu_s": cpu, **figures})
        write(args.out, done, page(done))
        console.print(f"{task.title}: {cpu:.1f} s", style="bright_black", highlight=False)
        left = None if left is None else left - 1
    return done


def read(path: Path) -> list[Unit]:
    """Return the units that are done, none where there is no file."""
    if not path.exists():
        return []
    units: list[Unit] = json.loads(path.read_text(encoding="utf-8"))
    return units


def write(path: Path, done: list[Unit], tables: str) -> None:
    """Write the units, all of them or none, and their tables beside them as .md."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(done, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    fresh.replace(path)
    path.with_suffix(".md").write_text(tables, encoding="utf-8")
