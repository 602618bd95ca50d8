"""Known-bad file: what is known to be bad, read again when people change the file."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from models.detector import known_bad
from models.detector.channels import ChannelsError

if TYPE_CHECKING:
    import threading
    from pathlib import Path

    from models.detector.channels import Channels
    from models.detector.known_bad import KnownBad

logger = logging.getLogger(__name__)

LOOK_S = 5.0
"""Seconds between looks at the file."""


class KnownBadFile:
    """A file that may change while the service runs.

    Parameters
    ----------
    path, channels
        What was read, for which detector.
    said
        What was read of it, which is said anew when the file changes. A file that cannot be read
        any more changes nothing.
    """

    def __init__(self, path: Path, channels: Channels, said: KnownBad) -> None:
        self._path, self._channels, self._said = path, channels, said
        self._seen = self._stamp()

    def _stamp(self) -> tuple[int, ...]:
        """Return what tells one state of the file from another; nothing of one that is gone."""
        try:
            stat = self._path.stat()
        except OSError:
            return ()
        return stat.st_mtime_ns, stat.st_size, stat.st_ino

    def look(self) -> None:
        """Read the file again if it has changed."""
        stamp = self._stamp()
        if stamp == self._seen:
            return
        self._seen = stamp
        try:
            found = known_bad.load(self._path, self._channels)
        except ChannelsError as error:
            logger.warning("known bad channels stay as they were: %s", error)
            return
        if found.entries != self._said.entries:
            self._said.renew(found.entries)
            logger.info("%s: %d entries, read again", self._path, len(found.entries))

    def follow(self, stopping: threading.Event) -> None:
        """Look every `LOOK_S` until stopped."""
        while not stopping.wait(LOOK_S):
            self.look()
