"""Demo's screen: what happens, drawn in a terminal and in plain lines elsewhere."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from rich.console import Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from monitor.display.standing import HELD, headline
from monitor.quality.quality import Quality

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from rich.console import Console

    from consumers.app.embedded import EmbeddedBroker
    from consumers.cli.demo_scene import Scene
    from monitor.display.standing import Standing

SHOWN = 12
"""Lines of what has happened that a terminal shows."""

STANDING_S = 15.0
"""Stream time between plain lines on how it stands, s."""

COLOURS: dict[str, str] = {
    Quality.GOOD: "green",
    Quality.MEDIUM: "yellow",
    Quality.BAD: "bold red",
    Quality.NULL: "bright_black",
    HELD: "bright_black",
}


class Teller(Protocol):
    """Tells people what happens in the demo."""

    def begin(self, text: str) -> None:
        """Say what is being started."""

    def tell(self, scene: Scene, broker: EmbeddedBroker, rate: float) -> None:
        """Show the scene as it is now; call it a few times a second."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


def teller(console: Console) -> Teller:
    """Return what suits the console: a picture that changes, or lines for a pipe or a log."""
    return Picture(console) if console.is_terminal else Lines(console)


class Picture:
    """The board and the last lines, redrawn in place."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, refresh_per_second=4, transient=False)

    def begin(self, text: str) -> None:
        """Say what is being started."""
        self._console.print(text, style="bright_black")

    def tell(self, scene: Scene, broker: EmbeddedBroker, rate: float) -> None:
        """Draw the scene as it is now."""
        self._live.update(_screen(scene, broker, rate))

    def __enter__(self) -> Self:
        """Draw from now on."""
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the last picture where it is."""
        self._live.stop()


class Lines:
    """A line for each thing that happens, and from time to time one on how it stands."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._told = 0
        self._stood = 0.0

    def begin(self, text: str) -> None:
        """Say what is being started."""
        self._print(text)

    def tell(self, scene: Scene, broker: EmbeddedBroker, rate: float) -> None:
        """Print what is new."""
        with scene.lock:
            new, self._told = scene.lines[self._told :], len(scene.lines)
            standing, speed, showers, now = (
                scene.standing,
                scene.speed(),
                scene.showers,
                scene.clock(),
            )
            url = scene.url
        if self._told == len(new) > 0:
            self._print(f"open {url}")
        for at, words, _ in new:
            self._print(f"{_moment(at)} {words}")
        if standing is not None and now - self._stood >= STANDING_S:
            self._stood = now
            _, text = headline(standing)
            self._print(
                f"{_moment(now)} {text}: {speed:,.0f} showers/s of {rate:,.0f}, {showers:,} judged, "
                f"broker {broker.memory() / 2**20:,.0f} MiB"
            )

    def _print(self, text: str) -> None:
        self._console.print(text, soft_wrap=True, markup=False, highlight=False)
        self._console.file.flush()

    def __enter__(self) -> Self:
        """Nothing to prepare."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing to leave."""


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%M:%S")


def _screen(scene: Scene, broker: EmbeddedBroker, rate: float) -> Group:
    with scene.lock:
        standing, lines = scene.standing, scene.lines[-SHOWN:]
        speed, showers = scene.speed(), scene.showers
    quality, text = headline(standing) if standing else (Quality.NULL, "starting")
    top = Table.grid(padding=(0, 2))
    top.add_row("open", Text(scene.url, style="bold underline cyan"))
    top.add_row("metrics", Text(f"{scene.url}/metrics", style="cyan"))
    top.add_row(
        "stream",
        f"{speed:,.0f} showers/s of {rate:,.0f} produced; {showers:,} judged; "
        f"broker {broker.name} {broker.memory() / 2**20:,.0f} MiB",
    )
    top.add_row("verdict", Text(text, style=COLOURS[quality]))
    happened = Table.grid(padding=(0, 2))
    for at, line, style in lines:
        happened.add_row(Text(_moment(at), style="bright_black"), Text(line, style=style))
    return Group(
        Panel(top, title="calodqm demo", subtitle="Ctrl-C ends it", border_style=COLOURS[quality]),
        _board(standing),
        happened,
    )


def _board(standing: Standing | None) -> Table:
    grid = Table.grid(padding=(0, 1))
    rows: dict[str, list[Text]] = {}
    for row in standing.board if standing else ():
        style = f"reverse {COLOURS[row.quality]}"
        rows.setdefault(row.sector, []).append(Text(f" {row.name:>4} ", style=style))
    for cells in rows.values():
        grid.add_row(*cells)
    return grid
