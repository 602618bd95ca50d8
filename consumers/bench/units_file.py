"""Units file: figures that add up over calls, kept in a file with their tables beside it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


def read(path: Path) -> list[dict[str, Any]]:
    """Return the units that are done, none where there is no file."""
    if not path.exists():
        return []
    units: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return units


def write(path: Path, done: list[dict[str, Any]], tables: str) -> None:
    """Write the units, all of them or none, and their tables beside them as .md."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(done, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    fresh.replace(path)
    path.with_suffix(".md").write_text(tables, encoding="utf-8")
