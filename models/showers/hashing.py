"""Hashing: random numbers of a shower, made of its own bytes: the same wherever it is scored."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.showers.batch import Showers

GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def keys(showers: Showers) -> NDArray[np.uint64]:
    """Return 64 bits that depend on every bit of each shower and on nothing else, shape (N,).

    Whatever the bits of an energy that is not a number: all of them say that it is not known.

    A multilinear hash: Lemire and Kaser, Computer Journal 57 (2014) 1624, section 3.
    """
    n_cells = showers.cells.shape[1]
    odd = mix(np.arange(1, n_cells + 1, dtype=np.uint64) * GOLDEN) | np.uint64(1)
    bits = np.ascontiguousarray(showers.cells).view(np.uint32)
    total = np.einsum("nv,v->n", bits, odd, dtype=np.uint64, casting="unsafe")
    e_inc = np.where(np.isnan(showers.e_inc), np.float32(np.nan), showers.e_inc)
    energy = e_inc.view(np.uint32).astype(np.uint64)
    return mix(total ^ mix(energy + GOLDEN))


def mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return well mixed bits: the finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def uniform(key: NDArray[np.uint64], n: int, first: int = 0) -> NDArray[np.float64]:
    """Return n numbers in (0, 1) of each key, shape (N, n): the same for the same key, always.

    Parameters
    ----------
    first
        How many of the key's numbers are left out: those are for something else.
    """
    steps = np.arange(first + 1, first + n + 1, dtype=np.uint64) * GOLDEN
    bits = mix(key[:, None] + steps)
    return (np.asarray(bits >> np.uint64(11), np.float64) + 0.5) * 2.0**-53


def normal_quantile(u: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what a standard normal deviate falls short of with probability u."""
    import torch  # noqa: PLC0415  a judge, which draws nothing, has none

    quantile: NDArray[np.float64] = torch.special.ndtri(torch.from_numpy(u)).numpy()
    return quantile
