"""Model acts: what people order about the models that score: announce, switch to, retire."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from pydantic import with_config

from monitor.quality.bounds import SPOKEN, Count

MAX_TEXT = 500


class ModelOrder(StrEnum):
    """What can be ordered of a model."""

    ANNOUNCE = "announce"
    """Run it beside the one in force, as its shadow."""

    SWITCH = "switch"
    """Judge by the shadow from the next data-second on; the other becomes the shadow."""

    RETIRE = "retire"
    """End the shadow."""


@with_config(SPOKEN)
@dataclass(frozen=True, slots=True)
class ModelAct:
    """One order about a model, and what became of it."""

    order: ModelOrder
    model: str
    """Content hash of the artefact, hex."""

    who: str
    time_ns: Count
    """When it was given, ns since 1970 UTC."""

    refused: str = ""
    """Why the judge did not do it, one line; empty if it did."""

    def __post_init__(self) -> None:
        if len(self.model) != 64 or set(self.model) - set("0123456789abcdef"):
            raise ValueError("a model is named by the 64 hexadecimal digits of its hash")
        if not self.who.strip() or len(self.who) > MAX_TEXT:
            raise ValueError(f"an order needs a name of at most {MAX_TEXT} characters")
