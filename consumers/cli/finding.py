"""Finding: one thing that the doctor looks at, and how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from consumers.wire.record import Refused, Unavailable
from consumers.wire.user_error import UserError

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    what: str
    well: bool
    text: str
    mend: str = ""


def tried(what: str, mend: str, look: Callable[[], str]) -> Finding:
    """Look, and return what was found; what is raised is what is wrong, and the mend is told."""
    try:
        return Finding(what, well=True, text=look())
    except (UserError, Refused, Unavailable, OSError, ValueError) as error:
        return Finding(what, well=False, text=str(error).splitlines()[0][:200], mend=mend)
