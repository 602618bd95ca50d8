"""Page lines: what the page says on whether the service can be trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from consumers.http.page import Line

if TYPE_CHECKING:
    from consumers.judge.state import JudgeState
    from monitor.display.standing import StreamNow


def lines(state: JudgeState, stream: StreamNow) -> dict[str, Line]:
    """Return the lines of a judge, by name."""
    totals = state.totals
    bad = sum(totals.values()) - sum(totals[n] for n in ("showers", "records", "missing"))
    beside = "" if state.shadow is None else f"; in shadow: {state.shadow.model.title}"
    model = state.primary.model
    unfit = f"; it does not fit: {'; '.join(model.misfits)}" if model.misfits else ""
    return {
        "model": Line(model.title + beside + unfit, worry=bool(unfit)),
        "counted": Line(f"{totals['showers']:,} showers in {totals['records']:,} records"),
        "rejected": Line(f"{bad:,} records", worry=bad > 0),
        "missing": Line(f"{totals['missing']:,} records", worry=totals["missing"] > 0),
        "lost": Line(str(state.losses[-1]) if state.losses else "none", bool(state.losses)),
        "past": Line(f"{state.owed:,} records to go" if state.owed else "judged", state.owed > 0),
        "answers": _answers(stream),
        "clocks and runs": _clocks(stream),
    }


def _answers(stream: StreamNow) -> Line:
    if not stream.silent:
        return Line("every partition is answered for")
    words = [f"{p} for {seconds:.0f} s" for p, seconds in stream.silent]
    return Line(f"unknown: partition {', '.join(words)}", worry=True)


def _clocks(stream: StreamNow) -> Line:
    words = [f"partition {p} is {seconds:,.0f} s ahead" for p, seconds in stream.astray]
    words += [f"{n:,} showers astray ({what})" for what, n in stream.strays if n]
    words += [f"{stream.forced:,} s closed early"] if stream.forced else []
    return Line("; ".join(words) or "all agree", worry=bool(words))
