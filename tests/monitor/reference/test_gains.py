"""Gains out of latents: unbiased, with errors that hold, and none where nothing came."""

import numpy as np
import pyarrow as pa
import pytest
from channel_stream import Stream, Touched, barrel

from consumers.cli.commands.gains import table as as_table
from models.scoring.response import ChannelResponse
from monitor.reference.gains import GAIN_SPREAD, estimated
from monitor.windows.channel_table import ChannelTable

CHANNELS = barrel((1, 2), (12, 12), card=4)
RINGS = CHANNELS.rings
NOISE_MEV = 0.2


def response() -> ChannelResponse:
    """Return one of the size that trained models have: a latent is what a cell has beside others."""
    own = np.diag(np.array([2.0, 1.9, 0.5])[RINGS])
    of_core = np.outer(RINGS == 0, np.array([0, -0.9, -0.1])[RINGS])
    of_near = np.outer(RINGS == 1, np.array([-0.3, 0, -0.05])[RINGS])
    pedestal = np.diag(np.array([0.02, 0.35, 0.4])[RINGS]) / NOISE_MEV
    of_layer = np.outer(np.array([29.0, 1.7, 0.1])[RINGS], RINGS == 0)
    at_cells = np.hstack([own + of_core + of_near, of_layer])
    return ChannelResponse(at_cells, np.hstack([pedestal, of_layer / 2000]))


RESPONSE = response()


def shifts(gains: np.ndarray, pedestals: np.ndarray) -> np.ndarray:
    """Return the mean latents of each channel by ring and of the layer, (C, 4), seed by seed."""
    total, count = np.zeros((2, len(CHANNELS), 4))
    core = int(np.argmin(RINGS))
    for patch in CHANNELS.patches(np.arange(len(CHANNELS), dtype=np.uint32)):
        inside = patch >= 0
        gain = np.where(inside, gains[patch] - 1, 0.0)
        pedestal = np.where(inside, pedestals[patch], 0.0)
        z = gain @ RESPONSE.gain + pedestal @ RESPONSE.pedestal
        v = len(RINGS)
        np.add.at(total, (patch[inside], RINGS[inside]), z[:v][inside])
        np.add.at(count, (patch[inside], RINGS[inside]), 1)
        total[patch[core], 3], count[patch[core], 3] = z[v + core], 1
    return np.asarray(total / np.maximum(count, 1))


def showers_with(
    gains: np.ndarray, seconds: int, rate: int = 300, seed: int = 1, pedestal: float = 0.0
) -> ChannelTable:
    """Return sums of showers whose latents move with the constants as the response says.

    Parameters
    ----------
    pedestal
        Spread of them, in units of the noise.
    """
    own = np.random.default_rng(6).normal(0, pedestal * NOISE_MEV, len(CHANNELS))
    mean = shifts(gains, own)

    def change(t: Touched) -> None:
        t.z += mean[t.channel, t.ring]
        t.layer += mean[t.channel, 3]

    stream, found = Stream(CHANNELS, rate=rate, seed=seed), ChannelTable(len(CHANNELS))
    for _ in range(seconds):
        found.add(stream.second(change))
    return found


@pytest.mark.parametrize("pedestal", [0.0, 0.1, 0.3])
def test_injected_gains_come_back_within_the_errors_that_are_stated(pedestal: float) -> None:
    injected = np.random.default_rng(5).normal(1, GAIN_SPREAD, len(CHANNELS))
    found = estimated(showers_with(injected, 200, pedestal=pedestal), CHANNELS, RESPONSE, NOISE_MEV)
    pull = (found.gain - injected) / found.error
    assert abs(pull.mean()) < 0.5  # of all gains together little is known: neighbours go with them
    assert 0.8 < (pull - pull.mean()).std() < 1.3
    assert found.error.max() < 0.025
    assert (found.limit <= found.error).all()


def test_injected_pedestals_come_back() -> None:
    flat = np.ones(len(CHANNELS))
    found = estimated(showers_with(flat, 200, pedestal=0.3), CHANNELS, RESPONSE, NOISE_MEV)
    injected = np.random.default_rng(6).normal(0, 0.3 * NOISE_MEV, len(CHANNELS))
    assert np.corrcoef(found.pedestal_mev, injected)[0, 1] > 0.9
    assert (found.pedestal_mev - injected).std() < 0.12 * NOISE_MEV


def test_four_times_the_showers_nearly_halve_the_error() -> None:
    flat = np.ones(len(CHANNELS))
    few, many = (estimated(showers_with(flat, s), CHANNELS, RESPONSE, NOISE_MEV) for s in (60, 240))
    assert 1.5 < np.median(few.error / many.error) < 2
    assert (few.error < GAIN_SPREAD).all()


def test_a_channel_without_showers_has_no_gain() -> None:
    found = estimated(
        showers_with(np.ones(len(CHANNELS)), 2, rate=40), CHANNELS, RESPONSE, NOISE_MEV
    )
    assert np.isnan(found.gain).any()
    assert (np.isnan(found.gain) == np.isnan(found.error)).all()


def test_the_table_has_a_row_for_each_channel_by_name() -> None:
    found = estimated(
        showers_with(np.ones(len(CHANNELS)), 2, rate=100), CHANNELS, RESPONSE, NOISE_MEV
    )
    rows = as_table(found, CHANNELS, ["EB1", "EB2"])
    assert rows.num_rows == len(CHANNELS)
    assert rows["name"][13].as_py() == CHANNELS.name(13)
    assert rows["gain"].null_count == int(np.isnan(found.gain).sum())
    assert rows.schema.field("channel").type == pa.uint32()
