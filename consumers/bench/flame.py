"""calodqm bench flame: where the CPU time of a service under load goes, as a flame graph.

Threads are looked at some hundred times a second, and each look weighs as much as the CPU time that its
thread has used since the one before: what waits weighs nothing, native threads stand by themselves.
"""

from __future__ import annotations

import html
import json
import sys
import threading
import time
import zlib
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from consumers.app import environment
from consumers.bench import ingest
from consumers.cli import command
from consumers.cli.commands.demo import SOURCE

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator
    from types import FrameType

EVERY_S = 0.004
"""Between two looks, s."""

LOOKS = 250
"""After which what was seen is written."""

SHOWERS, RATE_HZ = 240_000, 50_000.0
"""Of the stream that is scored meanwhile: more than is taken in."""

WORKERS = 2

WIDTH, ROW = 1200, 17
"""Of the graph, and the height of a frame, px."""

LEAST = 0.003
"""Frames of a smaller share are not drawn."""

Stack = tuple[str, ...]
"""Frames, outermost first."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `calodqm bench flame`."""
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the graph, SVG")


def run(args: argparse.Namespace) -> int:
    """Draw the process that scores and judges, beside another that scores."""
    given, stacks = environment.from_arguments(args), args.out.with_suffix(".stacks").absolute()
    seen = ingest.measure(given, SOURCE, SHOWERS, RATE_HZ, WORKERS, stacks=stacks)
    found = Counter({tuple(stack): ns for stack, ns in json.loads(stacks.read_text())})
    stacks.unlink()
    title = (
        f"CPU time of a process that scores and judges, one of {WORKERS} that score: "
        f"{seen.rate:,.0f} showers/s, {seen.cpu_us:.0f} µs CPU a shower in both"
    )
    args.out.write_text(drawn(found, title), encoding="utf-8")
    return 0


# Looks


class Looks:
    """Looks at all threads of this process, and writes to a file what they did, until it ends."""

    def __init__(self, path: Path) -> None:
        self.stacks: Counter[Stack] = Counter()
        """CPU time of each stack, ns."""

        self._path, self._used, self._wrote = path, dict[int, int](), False

    def begin(self) -> None:
        """Look in a thread of its own."""
        threading.Thread(target=self._go_on, name="looks", daemon=True).start()

    def _go_on(self) -> None:
        while True:
            for _ in range(LOOKS):
                time.sleep(EVERY_S)
                self.look()
            self._write()

    def look(self) -> None:
        """Look once."""
        frames = sys._current_frames()  # noqa: SLF001 - there is no other way to see them
        me = threading.get_native_id()
        known = {t.native_id: t for t in threading.enumerate()}
        for task in Path("/proc/self/task").iterdir():
            number = int(task.name)
            try:
                used = int((task / "schedstat").read_text().split()[0])
            except OSError:  # it has ended
                continue
            more = used - self._used.get(number, used)
            self._used[number] = used
            if more <= 0 or number == me:
                continue
            thread = known.get(number)
            frame = None if thread is None else frames.get(thread.ident or 0)
            name = "native thread" if thread is None else f"thread {thread.name}"
            self.stacks[name, *_names(frame)] += more

    def _write(self) -> None:
        if self._wrote and not self._path.exists():  # who takes it away wants what comes now
            self.stacks.clear()
        self._wrote = True
        partial = self._path.with_suffix(".partial")
        partial.write_text(json.dumps([[list(stack), ns] for stack, ns in self.stacks.items()]))
        partial.replace(self._path)


def _names(frame: FrameType | None) -> list[str]:
    """Return the functions of a stack, outermost first, those of threads and jobs left aside."""
    names = []
    while frame is not None:
        module = frame.f_globals.get("__name__", "?")
        if module != "threading":
            names.append(f"{module}.{frame.f_code.co_qualname}")
        frame = frame.f_back
    return names[::-1]


# The graph


def drawn(stacks: Counter[Stack], title: str) -> str:
    """Return a flame graph, SVG: the wider a frame, the more CPU time is spent in it and above."""
    frames = list(_frames(stacks, 0, 0))
    depth = 1 + max((level for level, *_ in frames), default=0)
    height = (depth + 2) * ROW
    total = sum(stacks.values()) or 1
    shapes = [
        _shape(level, WIDTH * start / total, WIDTH * ns / total, name, ns / total, height)
        for level, start, ns, name in frames
        if ns / total >= LEAST
    ]
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'font-family="sans-serif" font-size="11">\n<rect width="100%" height="100%" fill="#fff"/>\n'
        f'<text x="6" y="{ROW - 4}" font-size="13">{html.escape(title)}</text>'
    )
    return "\n".join((head, *shapes, "</svg>\n"))


def _frames(stacks: Counter[Stack], level: int, start: int) -> Iterator[tuple[int, int, int, str]]:
    """Yield level, start, CPU time in ns and name of each frame, and of those above it."""
    above: dict[str, Counter[Stack]] = {}
    for (name, *rest), ns in stacks.items():
        above.setdefault(name, Counter())[tuple(rest)] += ns
    for name in sorted(above):
        inner = above[name]
        ns = sum(inner.values())
        yield level, start, ns, name
        inner.pop((), None)
        yield from _frames(inner, level + 1, start)
        start += ns


def _shape(level: int, x: float, width: float, name: str, share: float, height: int) -> str:
    y = height - (level + 1) * ROW
    hue = 10 + zlib.crc32(name.rsplit(".", 1)[0].encode()) % 45
    label = name if len(name) * 6 < width else name.rsplit(".", 1)[-1]
    text = ""
    if len(label) * 6 < width:
        text = f'<text x="{x + 3:.1f}" y="{y + 12}">{html.escape(label)}</text>'
    return (
        f"<g><title>{html.escape(name)}: {share:.1%}</title>"
        f'<rect x="{x:.1f}" y="{y}" width="{max(width - 0.5, 0.1):.1f}" height="{ROW - 1}" '
        f'rx="2" fill="hsl({hue},85%,68%)"/>{text}</g>'
    )


def main(path: str, *words: str) -> int:
    """Run a command, and write to a file what its threads did."""
    Looks(Path(path)).begin()
    return command.main(words)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
