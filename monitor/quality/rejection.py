"""Rejection: why a record could not be taken; the closed list that labels metrics and dead letters."""

from __future__ import annotations

from enum import StrEnum


class Rejection(StrEnum):
    """What was wrong with a record; each says where to look for the mend."""

    EMPTY = "empty"
    """No bytes at all."""

    OVERSIZE = "oversize"
    """More bytes or more showers than are taken at once, also after decompression."""

    FORMAT = "format"
    """Neither an Arrow stream nor a JSON object."""

    TRUNCATED = "truncated"
    """Ends before it is complete: cut off on the way."""

    CORRUPT = "corrupt"
    """Has the right beginning, but damaged or nonsensical insides."""

    SCHEMA = "schema"
    """Columns, types or schema version are not those of the record format."""

    GEOMETRY = "geometry"
    """Another geometry than the one that the model knows."""

    VALUE = "value"
    """A number that cannot be: an energy that is not finite or beyond bounds, or a null."""

    TIME = "time"
    """A data time before 1970, far in the future, or a block that spans too much of it."""

    REGION = "region"
    """A region that the detector does not have."""

    SKIPPED = "skipped"
    """Well perhaps, but an operator wants it passed over."""

    POISON = "poison"
    """Well to look at, but who took it in could not go on: it was passed over."""
