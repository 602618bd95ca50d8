"""The form of a judge's state in a snapshot."""

from __future__ import annotations

import hashlib
from collections import Counter, deque
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from consumers.exactly_once.fence import Fence
from consumers.exactly_once.seconds import Seconds
from consumers.exactly_once.snapshots import NOTHING
from consumers.judge.losses import Loss
from consumers.judge.state import KEPT_WORST
from consumers.judge.sums import Sum, SumKey, Sums
from consumers.wire import window_form
from monitor.judging.comparison import Comparison
from monitor.quality.acknowledgements import Masked
from monitor.quality.alarms import WorstShower
from monitor.windows.window import WindowKey

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from consumers.exactly_once.snapshots import Manifest
    from consumers.judge.state import JudgeState
    from consumers.wire.window_form import WindowForm
    from monitor.windows.window import Window

STATE_FORM = 4
"""Raised whenever what stands in a snapshot changes its meaning: an older one is not taken up then.

The version of the software has no part in it, so that an upgrade takes the state over.
"""

ROWS_A_PIECE = 512
"""Rows of open windows in one array of a snapshot."""


class StateError(ValueError):
    """A snapshot that cannot be taken up; the message says why."""


def fingerprint(*parts: object) -> str:
    """Return a digest of what a judge's state depends on, beside the log and the models."""
    return hashlib.sha256(repr((STATE_FORM, *parts)).encode()).hexdigest()


def manifest_of(state: JudgeState) -> Manifest:
    """Return what the manifest of a snapshot says of a state, less what only a judge can say."""
    return replace(
        NOTHING,
        at=state.at,
        fence=state.fence.to_json(),
        totals=dict(state.totals),
        epoch=state.tail.epoch,
        last=state.tail.last,
        models=state.models,
    )


def arrays_of(state: JudgeState) -> dict[str, NDArray[Any]]:
    """Return everything that a judge knows as arrays; `restore` is the inverse."""
    words = {
        "seconds": state.seconds.to_json(),
        "held": [[*key, since] for key, since in state.seconds.held.items()],
        "worst": [[region, [asdict(w) for w in kept]] for region, kept in state.worst.items()],
        "totals": dict(state.totals),
        "tally": dict(state.tally),
        "losses": [asdict(loss) for loss in state.losses],
        "comparison": state.comparison.to_json(),
        "masked": [state.masked.to_json(), state.masked_after],
        "shed_until": state.shed_until,
        "runs_at": state.runs_at,
        "sums": [state.sums.newest, state.sums.to_json()],
    }
    arrays: dict[str, NDArray[Any]] = {"words": np.frombuffer(orjson.dumps(words), np.uint8)}
    for name, side in state.sides():
        its = side.monitor.state()
        arrays |= {f"{name}.monitor.{key}": array for key, array in its.items()}
        for i, piece in enumerate(_pieces(_open(state, side.model.hash), side.model.form)):
            encoded = window_form.encode_windows(piece, side.model.form)
            arrays[f"{name}.windows.{i}"] = np.frombuffer(encoded, np.uint8)
    form = state.primary.model.form
    for i, sum_ in enumerate(state.sums.pending.values()):
        encoded = window_form.encode_windows([sum_.window], form)
        arrays[f"sums.{i}"] = np.frombuffer(encoded, np.uint8)
    return arrays


def _open(state: JudgeState, model: str) -> list[Window]:
    return [found[model] for found in state.seconds.windows.values() if model in found]


def restore(state: JudgeState, arrays: dict[str, NDArray[Any]], manifest: Manifest) -> None:
    """Take up what `arrays_of` returned; the sides must be of the models that it was made with.

    Raises
    ------
    StateError
        If it is of another form, or none; the state is of no more use then.
    """
    try:
        _restore(state, arrays, manifest)
    except (LookupError, ValueError, TypeError, AttributeError, ArithmeticError) as error:
        raise StateError(f"the snapshot at {manifest.at} is of another form: {error!r}") from None


def _restore(state: JudgeState, arrays: dict[str, NDArray[Any]], manifest: Manifest) -> None:
    words = orjson.loads(arrays["words"].tobytes())
    state.seconds = Seconds.from_json(words["seconds"], state.seconds.latency_s)
    opened: dict[WindowKey, dict[str, Window]] = {}
    for name, side in state.sides():
        side.monitor.restore(_below(f"{name}.monitor.", arrays))
        for array in _below(f"{name}.windows.", arrays).values():
            for window in window_form.windows(array.tobytes(), side.model.form):
                opened.setdefault(window.key, {})[side.model.hash] = window
    state.seconds.windows.update(opened)
    state.seconds.held = {WindowKey(*key): since for *key, since in words["held"]}
    state.comparison = Comparison.from_json(words["comparison"])
    masked, state.masked_after = words["masked"]
    state.shed_until, state.runs_at = words["shed_until"], words["runs_at"]
    state.masked = Masked.from_json(masked)
    state.worst = {
        region: deque((WorstShower(**w) for w in kept), KEPT_WORST)
        for region, kept in words["worst"]
    }
    state.totals, state.tally = Counter(words["totals"]), Counter(words["tally"])
    state.losses.extend(Loss(**loss) for loss in words["losses"])
    _restore_sums(state, words.get("sums", [0, []]), arrays)
    state.fence, state.at = Fence.from_json(manifest.fence), manifest.at


def _restore_sums(state: JudgeState, words: list[Any], arrays: dict[str, NDArray[Any]]) -> None:
    state.sums = Sums(newest=words[0])
    for i, (run, lumisection, model, *rest) in enumerate(words[1]):
        (window,) = window_form.windows(arrays[f"sums.{i}"].tobytes(), state.primary.model.form)
        state.sums.pending[SumKey(run, lumisection, model)] = Sum(window, *rest)


def _below(prefix: str, arrays: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {name.removeprefix(prefix): a for name, a in arrays.items() if name.startswith(prefix)}


def _pieces(windows: list[Window], form: WindowForm) -> list[list[Window]]:
    pieces: list[list[Window]] = []
    # So that a piece is read back within the bounds of reading, however many cells there are.
    rows = most = max(1, min(ROWS_A_PIECE, window_form.MAX_BYTES // 2 // form.row_bytes))
    for window in sorted(windows, key=lambda w: w.key):
        if rows >= most:
            pieces.append([])
            rows = 0
        pieces[-1].append(window)
        rows += len(window.regions)
    return pieces
