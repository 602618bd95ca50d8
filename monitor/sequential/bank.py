"""Bank of sequential tests: mixture Shiryaev-Roberts e-detectors, many streams at once.

An e-detector is a process whose mean, while nothing is wrong, never exceeds the time gone by
(Shin, Ramdas & Rinaldo, arXiv:2203.03532, definition 2.2). An alarm at the first time that it
reaches H therefore comes, on average, after H or later (their theorem 2.4), whatever the
dependence between the streams that are averaged. Here time is counted in data-seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

CAP = 10.0
"""A stream's evidence is held at this many times what it needs alone, so that it can fall again."""


class Bank:
    """F e-detectors of each of P places, and their weighted sum.

    Parameters
    ----------
    n_places
        P.
    weights
        Prior weight of each stream, shape (F,), positive, with a sum of at most 1.
    horizon
        Data-seconds to false alarm that a place's sum is held against, shape (P,).
    dtype
        Of the evidence: single precision does where there are very many streams.
    """

    def __init__(
        self,
        n_places: int,
        weights: NDArray[np.float64],
        horizon: NDArray[np.float64],
        dtype: type[np.float32 | np.float64] = np.float64,
    ) -> None:
        if not (weights > 0).all() or weights.sum() > 1 + 1e-9:
            raise ValueError("weights must be positive and add up to at most 1")
        self.weights: NDArray[np.floating[Any]] = weights.astype(dtype)
        self._horizon, self._cap = horizon[:, None].astype(dtype), (CAP / weights).astype(dtype)
        shape = (n_places, len(weights))
        self.evidence: NDArray[np.floating[Any]] = np.zeros(shape, dtype)
        """Shiryaev-Roberts statistic of each stream, data-seconds, shape (P, F)."""
        self.path: NDArray[np.floating[Any]] = np.zeros(shape, dtype)
        """Log likelihood ratio since the most likely onset (the CUSUM), shape (P, F)."""
        self._total = np.zeros(n_places)
        """Weighted sum over the streams of each place, added up while a step has them at hand, (P,)."""

        self._most, self._least = np.full(len(weights), 80, dtype), np.zeros(len(weights), dtype)
        self.onset = np.zeros(shape, np.uint32)
        """Most likely onset of each stream, data-second, shape (P, F): enough until 2106."""

    def step(
        self,
        log_e: NDArray[np.floating[Any]],
        seconds: int,
        since: int,
        first: int = 0,
    ) -> None:
        """Take in one step of all places, or of some that follow one another.

        Parameters
        ----------
        log_e
            Log e-values of the step, shape (P, F): the mean of exp is at most 1 if all is well.
            They are used up: the array holds something else after it.
        seconds
            New data-seconds in the step: 0 where it only adds late showers to a past one.
        since
            First data-second of the step.
        first
            Place of the first row of `log_e`.
        """
        # Bounds are rows, since numpy is several times slower with a number in their place.
        places = slice(first, first + len(log_e))
        evidence, path, onset = self.evidence[places], self.path[places], self.onset[places]
        if seconds:
            # Arithmetic modulo 2**32 in place of a choice: half of the paths begin anew at random.
            later = np.subtract(np.uint32(since), onset)
            later *= path <= self._least
            onset += later
        np.maximum(path, self._least, out=path)
        path += log_e
        # exp(80) in a step is beyond any cap, and still a single-precision number.
        np.minimum(log_e, self._most, out=log_e)
        evidence += seconds
        evidence *= np.exp(log_e, out=log_e)
        np.minimum(evidence, np.multiply(self._horizon[places], self._cap, out=log_e), out=evidence)
        self._total[places] = np.dot(evidence, self.weights)

    def total(self) -> NDArray[np.float64]:
        """Return the weighted sum over the streams of each place, data-seconds, shape (P,)."""
        return self._total.copy()

    def at(self, place: int) -> float:
        """Return the weighted sum over the streams of a place, data-seconds."""
        return float(self._total[place])

    def best_onset(self, place: int) -> int:
        """Return the most likely onset at a place: that of the stream with the most to say."""
        return int(self.onset[place, self.leading(place)])

    def best_onsets(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the most likely onset at each of some places."""
        best = np.argmax(self.path[places] + np.log(self.weights), axis=1)
        onsets: NDArray[np.int64] = self.onset[places, best].astype(np.int64)
        return onsets

    def leading(self, place: int) -> int:
        """Return the stream that explains a place best: its path is not capped."""
        return int(np.argmax(self.path[place] + np.log(self.weights)))

    def log_odds(self, place: int) -> float:
        """Return the natural log of the averaged likelihood ratio since the onset."""
        logs = self.path[place] + np.log(self.weights)
        top = float(logs.max())
        return top + float(np.log(np.exp(logs - top).sum()))

    def reset(self, places: NDArray[np.bool_] | slice = slice(None)) -> None:
        """Forget what some places have said."""
        self.evidence[places] = 0
        self.path[places] = 0
        self._total[places] = 0

    def state(self) -> dict[str, NDArray[Any]]:
        """Return all that changes, as arrays."""
        return {"evidence": self.evidence, "path": self.path, "onset": self.onset}

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Take up what `state` returned."""
        self.evidence = state["evidence"].astype(self.evidence.dtype)
        self.path = state["path"].astype(self.path.dtype)
        self.onset = state["onset"].astype(np.uint32)
        self._total[:] = np.dot(self.evidence, self.weights)


def log_ratio_bet(
    observed: NDArray[np.float64],
    trials: NDArray[np.float64],
    bound: NDArray[np.float64],
    ratio: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return log e-values for a rate that is `ratio` times its bound.

    For ratio > 1 the null is "at most the bound", for ratio < 1 "at least the bound": the mean
    of ratio^k over k of n Bernoulli trials with mean rate p is at most (1 + (ratio - 1) p)^n.

    Parameters
    ----------
    observed, trials, bound
        Counts, trials and bounded rates; they broadcast together.
    ratio
        Broadcasts along the last axis, which is added.
    """
    shrink = np.log1p((ratio - 1) * bound[..., None])
    log_e: NDArray[np.float64] = observed[..., None] * np.log(ratio) - trials[..., None] * shrink
    return log_e


def e_benjamini_hochberg(e_values: NDArray[np.float64], false_share: float) -> NDArray[np.bool_]:
    """Return which of many e-values to list, so that a share of at most `false_share` is false.

    Wang & Ramdas, arXiv:2009.02824, equation (3): holds under any dependence.

    Examples
    --------
    >>> e_benjamini_hochberg(np.array([100.0, 1.0, 90.0, 0.1]), 0.05)
    array([ True, False,  True, False])
    """
    n = len(e_values)
    order = np.argsort(-e_values, kind="stable")
    passing = e_values[order] * np.arange(1, n + 1) >= n / false_share
    listed = np.zeros(n, bool)
    if passing.any():
        listed[order[: int(np.flatnonzero(passing)[-1]) + 1]] = True
    return listed
