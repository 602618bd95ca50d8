"""Tokens of OAUTHBEARER: from a file that somebody else keeps fresh, as secrets are mounted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kafka.net.sasl.oauth import AbstractTokenProvider

from consumers.kafka.connection import read_secret

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class FileToken(AbstractTokenProvider):  # type: ignore[misc]
    """The token that a file holds whenever a connection is made."""

    path: Path

    def token(self) -> str:
        """Return it, or raise `Denied`."""
        return read_secret(self.path).strip()
