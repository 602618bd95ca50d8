"""Quality: the verdict vocabulary."""

from __future__ import annotations

from enum import StrEnum


class Quality(StrEnum):
    """Verdict on a region for a lumisection, in the vocabulary of ALICE QC."""

    GOOD = "good"
    MEDIUM = "medium"
    BAD = "bad"
    NULL = "null"
    """Not enough data to say; never hides a BAD."""
