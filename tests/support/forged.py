"""Artefacts that somebody meddled with: signed as a forger could, and refused in one line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from models.scoring.artefact import Artefact
from models.scoring.description import FILES, ArtefactError, digest_of

if TYPE_CHECKING:
    from pathlib import Path


def sign(path: Path) -> None:
    """Give a folder the hash that its files ask for."""
    with pytest.raises(ArtefactError, match="hash"):
        Artefact.load(path)
    contents = {name: (path / name).read_bytes() for name in FILES}
    (path / "hash").write_text(digest_of(contents))


def refused(path: Path) -> str:
    """Return the one line with which an artefact is refused."""
    with pytest.raises(ArtefactError) as error:
        Artefact.load(path)
    text = str(error.value)
    assert "\n" not in text
    assert str(path) in text
    return text
