"""Needs: the memory that a judge takes, and whether this machine has it."""

from __future__ import annotations

from pathlib import Path

import psutil

MIB, MIB_A_REGION = 185, 1.0
"""Of a judge, and of it for each region of 504 cells: measured with 16 to 1,024 regions."""

REFERENCE_CELLS = 504

LIMIT = Path("/sys/fs/cgroup/memory.max")
"""What a container may take, where one has a limit."""


def judge_mib(regions: int, cells: int) -> float:
    """Return the memory that a judge takes, MiB.

    Examples
    --------
    >>> round(judge_mib(10_000, 25))
    681
    """
    return MIB + MIB_A_REGION * regions * cells / REFERENCE_CELLS


def memory_mib(limit: Path = LIMIT) -> float:
    """Return the memory of this machine, or what a container may take of it, MiB."""
    total = psutil.virtual_memory().total
    try:
        told = limit.read_text(encoding="ascii").strip()
    except OSError:
        told = "max"
    return min(total, int(told) if told.isdigit() else total) / 2**20


def shortage(regions: int, cells: int, there_mib: float) -> str:
    """Return what a judge of so many regions and cells lacks, in words; empty if it lacks nothing.

    Examples
    --------
    >>> shortage(10_000, 504, 4096)
    '10,000 regions of 504 cells: the judge needs some 9.9 GiB of memory, and 4.0 GiB are there'
    """
    needed = judge_mib(regions, cells)
    if needed <= there_mib:
        return ""
    return (
        f"{regions:,} regions of {cells:,} cells: the judge needs some {needed / 1024:.1f} GiB of "
        f"memory, and {there_mib / 1024:.1f} GiB are there"
    )
