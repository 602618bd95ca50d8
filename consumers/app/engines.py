"""Engines: what a worker's models are evaluated by; held against each other before one is in force."""

from __future__ import annotations

import logging
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from consumers.app.children import ends_with_parent

if TYPE_CHECKING:
    from consumers.app.settings import Settings
    from models.scoring.artefact import Artefact
    from models.scoring.examiner import Evaluated, Examiner
    from models.scoring.scorer import Scorer
    from models.showers.batch import Showers

logger = logging.getLogger(__name__)

COMPARED = 128
"""Showers that two engines are compared on; drawn by the model itself, the same everywhere."""

COMPILED_S = 600.0
"""Within which a compiler must be done."""


def cache() -> Path:
    """Return the folder of compiled programs."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "calodqm"


def can_compile() -> bool:
    """Return whether there is a compiler."""
    return shutil.which(os.environ.get("CXX", "g++")) is not None


def check(artefact: Artefact, scorer: Scorer) -> None:
    """Raise EngineError if a device does not give the numbers of the model."""
    from models.scoring import agreement  # noqa: PLC0415  torch takes seconds

    showers = _compared(artefact)
    agreement.check_plain(scorer.examine, artefact.flow, showers)
    if scorer.examine.device.type != "cpu":
        agreement.check(scorer.examine(showers), artefact.scorer("cpu").examine(showers))


def has_program(examine: Examiner, settings: Settings) -> bool:
    """Return whether a model can be evaluated by a compiled program, where it is or can be made."""
    from models.flows.flux_evaluation import FluxEvaluation  # noqa: PLC0415  torch takes seconds

    wanted = settings.compile and settings.threads == 1 and examine.device.type == "cpu"
    return wanted and isinstance(examine.evaluate, FluxEvaluation) and examine.classifier is None


def compile_aside(artefact: Artefact, scorer: Scorer, settings: Settings) -> None:
    """Have a scorer go over to a compiled program as soon as there is one, in a thread.

    Where there is no compiler, or no such program of the model, it stays as it is.
    """
    if has_program(scorer.examine, settings):
        given = artefact, scorer.examine
        threading.Thread(target=_go_over, args=given, name="compile", daemon=True).start()


def compiled(artefact: Artefact, examine: Examiner) -> Evaluated:
    """Return a compiled program that agrees with an examiner, from the cache or made now.

    Raises
    ------
    OSError, RuntimeError, ValueError, subprocess.SubprocessError
        If there is no room, no compiler, no such program of the model, or it does not agree.
    """
    from models.scoring import agreement, program  # noqa: PLC0415  torch takes seconds
    from models.scoring.examiner import ROWS, SCORED_AT_ONCE  # noqa: PLC0415

    folder = cache()
    path = folder / program.file_name(artefact.hash)
    if not path.exists():
        _compile(artefact, path)
    for each in (folder, path):  # what it holds is run
        about = each.stat()
        if about.st_uid != os.getuid() or about.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise PermissionError(f"others may write to {each}")
    try:
        made = program.load(path)
    except program.DamagedError:
        path.unlink()  # it is made anew the next time
        raise
    showers = _compared(artefact)
    # A whole chunk, and what is left over.
    showers = showers[np.arange(SCORED_AT_ONCE["cpu"] + ROWS["cpu"]) % showers.n]
    agreement.check(examine.whole(showers, made), examine.whole(showers, None))
    return made


def _go_over(artefact: Artefact, examine: Examiner) -> None:
    began, model = time.monotonic(), artefact.hash[:12]
    try:
        examine.compiled = compiled(artefact, examine)
    except NoCompilerError as error:
        logger.info("model %s is evaluated as it is: %s", model, error)
    except Exception as error:  # noqa: BLE001 - the worker scores as it is, whatever a compiler does
        logger.warning("model %s is evaluated as it is: %s", model, error)
    else:
        took = time.monotonic() - began
        logger.info("model %s is evaluated by a compiled program, %.0f s", model, took)


class NoCompilerError(OSError):
    """There is no compiler, and nothing that one made before."""


def _compile(artefact: Artefact, path: Path) -> None:
    """Write the compiled program of a model; a process of its own, which yields to all others."""
    if not can_compile():
        raise NoCompilerError("there is no g++")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model"
        artefact.save(model)
        command = [sys.executable, "-m", "models.scoring.program", str(model), str(path)]
        done = subprocess.run(  # noqa: S603 - a command of our own
            [*ends_with_parent(), *command],
            env={**os.environ, "TORCHINDUCTOR_CACHE_DIR": f"{folder}/made"},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=COMPILED_S, check=False,
        )  # fmt: skip
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"the compiler ended with {done.returncode}"]
        raise RuntimeError(said[-1])


def _compared(artefact: Artefact) -> Showers:
    from models.fitting.generation import anywhere  # noqa: PLC0415  torch takes seconds

    return anywhere(artefact, COMPARED, seed=1)
