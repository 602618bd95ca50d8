"""Bounds: the numbers and texts that a record may hold, and how it is read from JSON.

Records are frozen dataclasses; these annotations are all that is said of what their fields may be.
Reading is strict: no text stands for a number, no truth value for a whole number.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field

if TYPE_CHECKING:
    from pydantic import ValidationError

SPOKEN = ConfigDict(strict=True, extra="forbid")
"""For what people say: a field that is not known is a mistake."""

TOLD = ConfigDict(strict=True, extra="ignore")
"""For what software says: a newer one may say more, for programs are renewed in turn."""

Whole = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Count = Annotated[int, Field(ge=0, lt=2**63)]
"""Offsets, numbers of things, times in ns."""

EventId = Annotated[int, Field(ge=0, lt=2**64)]
Number32 = Annotated[int, Field(ge=0, lt=2**32)]
"""Runs, lumisections, partitions, rows."""

RegionId = Annotated[int, Field(ge=0, lt=2**16)]
P = Annotated[float, Field(ge=0, le=1)]


def _number(value: Any) -> Any:
    return math.nan if value is None else value


Real = Annotated[float, BeforeValidator(_number)]
"""Any number; JSON has none that is not finite, and null stands for it."""


def first(error: ValidationError) -> str:
    """Return the first thing that is wrong, in a line: where, and what."""
    found = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(str(part) for part in found["loc"])
    return f"{where}: {found['msg']}"[:200] if where else found["msg"][:200]
