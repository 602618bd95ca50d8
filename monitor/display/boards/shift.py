"""Shift: what hangs on the wall."""

from __future__ import annotations

from monitor.display.boards.frame import dashboard
from monitor.display.boards.panels import (
    BAD,
    GOOD,
    HELD,
    HERE,
    MEDIUM,
    NULL,
    REGION,
    Json,
    Layout,
    mapped,
    query,
    steps,
)
from monitor.display.boards.parts import alarm_table, burn, loudest, quality_timeline

WALL = (
    ("0", "✓ GOOD", GOOD),
    ("1", "? NO DATA", NULL),
    ("2", "! MEDIUM", MEDIUM),
    ("3", "✕ BAD", BAD),
    ("4", "IN HAND", HELD),
    ("5", "? STALE", NULL),
    ("6", "? NO JUDGE", NULL),
    ("7", "– NO RUN", NULL),
)
"""What the codes of the recorded `detector:calodqm_wall:code` say from afar."""

BETWEEN = f'min(calodqm_run_state{{{HERE},calodqm_run_state="between"}}) == 1'
NO_RUN = -1
"""Stands for a number that would be a fault, were there a run."""


def _in_a_run(number: str, wrong: str) -> Json:
    """Return a target for a number, `NO_RUN` where it is wrong only because there is no run."""
    return query(f"{NO_RUN} * ({BETWEEN}) and ({number}) {wrong} or {number}")


def shift() -> Json:
    """Return what hangs on the wall: is it bad, where, since when, what do I do."""
    layout = Layout()
    _verdict(layout)
    loudest(layout, (16, 6))
    _alarms(layout)
    _data(layout)
    _what_to_do(layout)
    alarm_table(layout, (14, 8))
    quality_timeline(layout, (24, 11))
    burn(layout, (24, 9), "0.01", "1m")
    return dashboard("shift", "Shift", "Is it bad, where, since when, what do I do.", layout)


def _verdict(layout: Layout) -> None:
    """Add the gravest that is to be said, in one word."""
    layout.stat(
        "Detector", 8,
        query(f"max by (detector) (detector:calodqm_wall:code{{{HERE}}})", "{{detector}}"),
        height=6, text="The gravest that is to be said now. Grey: nobody can say that it is good.",
        unit="none", noValue="? NO JUDGE",
        mappings=[
            *mapped(WALL),
            {"type": "special", "options": {"match": "null+nan", "result": {"text": "? NO JUDGE", "color": NULL}}},
        ],
        thresholds=steps((None, NULL)),
    )  # fmt: skip


def _alarms(layout: Layout) -> None:
    """Add how many alarms are open."""
    for title, severity, colour in (
        ("Pages open", "page", BAD),
        ("Warnings open", "warning", MEDIUM),
    ):
        layout.stat(
            title, 4,
            query(f'sum(max by (level, place) (calodqm_alarms_open{{{HERE},severity="{severity}"}}))'),
            text="Alarms that nobody has acknowledged.", unit="none", height=4,
            thresholds=steps((None, GOOD), (1, colour)),
        )  # fmt: skip


def _data(layout: Layout) -> None:
    """Add how old and how many the data are, and of which run."""
    layout.stat(
        "Newest judged data", 6,
        _in_a_run(f"time() - max(calodqm_data_timestamp_seconds{{{HERE}}} > 0)", "> 30"),
        text="Age of the newest data-second that the judge has closed. Beyond a minute, what is "
        "shown is the past. Between runs nobody waits for any.", unit="s", height=4, decimals=0,
        mappings=mapped(((str(NO_RUN), "–", NULL),)),
        thresholds=steps((None, GOOD), (30, MEDIUM), (60, BAD)),
    )  # fmt: skip
    layout.stat(
        "Showers a second", 5,
        _in_a_run(f"sum(region:calodqm_showers_scored:rate1m{{{REGION}}})", "< 1"),
        text="Scored by all workers, over a minute.", unit="none", decimals=0, height=4,
        mappings=mapped(((str(NO_RUN), "0", NULL),)),
        thresholds=steps((None, BAD), (1, GOOD)),
    )  # fmt: skip
    layout.stat(
        "Run", 5, query(f"max(calodqm_run_number{{{HERE}}})"),
        text="Run of the newest shower.", unit="none", decimals=0, height=4,
        options={"colorMode": "none"},
    )  # fmt: skip


def _what_to_do(layout: Layout) -> None:
    """Add the shifter's page in four lines."""
    layout.words(
        "What do I do?", (10, 8),
        "### 1. Red? Open [the judge's page](${page}/).\n"
        "### 2. Do there what *What to do* says.\n"
        "### 3. In hand? Acknowledge it, with the cause.\n"
        "### 4. Grey? Nobody watches: [Operations](/d/calodqm-operations).\n\n"
        "Green: watched, and within what chance allows.",
        text="The shifter's page in four lines.",
    )  # fmt: skip
