"""What a broker stands on: a clock and a disk that can be made to go wrong."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

SHIM = Path(__file__).with_name("shim.c")


def built(folder: Path) -> Path | None:
    """Return the shim before a broker's C library, built into a folder; None without a compiler."""
    compiler, made = shutil.which("cc"), folder / "shim.so"
    if compiler is None:
        return None
    subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-o", made, SHIM, "-ldl"], check=True)
    return made


@dataclass
class Page:
    """What the shim of one broker is told."""

    path: Path
    shim: Path

    def __post_init__(self) -> None:
        self.tell()

    def tell(self, *, ahead_s: int = 0, slower_ms: int = 0) -> None:
        """Have the clock be ahead (or behind), and each fsync take longer, from now on."""
        at = os.open(self.path, os.O_WRONLY | os.O_CREAT)
        os.pwrite(at, struct.pack("=qq", ahead_s, slower_ms), 0)
        os.close(at)

    @property
    def environment(self) -> dict[str, str]:
        """Return what a broker's process needs."""
        return {"LD_PRELOAD": str(self.shim), "CHAOS_PAGE": str(self.path)}


@dataclass
class Disk:
    """A disk in memory for one broker: filled by making it as small as what lies on it.

    Whoever may not mount has the folder as it is, which cannot be filled.
    """

    path: Path
    whole: str = "4g"
    small: bool = field(default=False, init=False)
    """Whether it can be filled."""

    def __enter__(self) -> Self:
        self.path.mkdir(parents=True)
        self.small = self._mount(f"size={self.whole}", "-t", "tmpfs", "tmpfs")
        return self

    def __exit__(self, *_: object) -> None:
        if self.small:
            subprocess.run(["umount", "--lazy", self.path], check=False)
        with suppress(OSError):
            self.path.rmdir()
            self.path.parent.rmdir()

    def fill(self) -> None:
        """Leave no room; what is written meanwhile is room that has to be left."""
        for spare in range(64):
            there = os.statvfs(self.path)
            used = (there.f_blocks - there.f_bfree + 16 * spare) * there.f_frsize
            if self._mount(f"remount,size={max(used, 1)}"):
                return
        raise AssertionError(f"{self.path} could not be filled")

    def free(self) -> None:
        assert self._mount(f"remount,size={self.whole}")

    def _mount(self, options: str, *rest: str) -> bool:
        command = ["mount", *rest, "-o", options, str(self.path)]
        done = subprocess.run(command, capture_output=True, check=False)
        return done.returncode == 0
