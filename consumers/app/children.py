"""Children: processes of our own that end with us, whatever ends us."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


def ends_with_parent() -> list[str]:
    """Return the prefix that has the kernel end a command with its parent, where it is known.

    The kernel takes the thread that starts the command for the parent: start it from the main one.
    """
    tool = shutil.which("setpriv")  # util-linux
    return [tool, "--pdeathsig", "KILL"] if tool else []


def start(
    command: Sequence[str], *, output: IO[Any] | int, errors: IO[Any] | int | None = None
) -> subprocess.Popen[bytes]:
    """Start a command; Ctrl-C does not reach it, its parent's end does."""
    return subprocess.Popen(  # noqa: S603 - commands of our own choice
        [*ends_with_parent(), *command],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output if errors is None else errors,
        start_new_session=True,
    )


def calodqm(*arguments: str) -> list[str]:
    """Return the command line that runs this program again."""
    return [sys.executable, "-m", "consumers", *arguments]


def stop(child: subprocess.Popen[bytes], seconds: float = 5.0) -> None:
    """Stop a child, gently first."""
    child.terminate()
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
