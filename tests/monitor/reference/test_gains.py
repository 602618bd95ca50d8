"""Gains out of latents: unbiased, with the error that statistics allow, and none where nothing came."""

import numpy as np
import pyarrow as pa
import pytest
from channel_stream import Stream, Touched, barrel

from consumers.cli.commands.gains import table as as_table
from models.scoring.response import GainResponse
from monitor.reference.gains import estimated
from monitor.windows.channel_table import ChannelTable

CHANNELS = barrel((1, 2), (12, 12), card=4)
RESPONSE = GainResponse(10.0, 3.0, -4.0, -0.5, -0.3)


def showers_with(gains: np.ndarray, seconds: int, rate: int = 300, seed: int = 1) -> ChannelTable:
    """Return sums of showers whose latents move with the gains as the response says."""
    beside = np.zeros(len(CHANNELS))
    seeds = np.arange(len(CHANNELS), dtype=np.uint32)
    patch = CHANNELS.patches(seeds)[:, CHANNELS.rings == 1]
    for channel, row in enumerate(patch):
        beside[channel] = (gains[row[row >= 0]] - 1).mean()

    def change(t: Touched) -> None:
        own, others = gains[t.channel] - 1, beside[t.channel]
        core = RESPONSE.core * own + RESPONSE.core_of_near * others
        near = RESPONSE.near * own + (RESPONSE.near_of_core + RESPONSE.near_of_near) * others
        t.z += np.select([t.ring == 0, t.ring == 1], [core, near])

    stream, found = Stream(CHANNELS, rate=rate, seed=seed), ChannelTable(len(CHANNELS))
    for _ in range(seconds):
        found.add(stream.second(change))
    return found


def test_injected_gains_come_back_within_their_statistical_errors() -> None:
    injected = np.random.default_rng(5).normal(1, 0.02, len(CHANNELS))
    found = estimated(showers_with(injected, 200), CHANNELS, RESPONSE)
    pull = (found.gain - injected) / found.error
    assert abs(pull.mean()) < 0.5  # of all gains together little is known: neighbours go with them
    assert 0.8 < (pull - pull.mean()).std() < 1.3
    assert found.error.max() < 0.012


@pytest.mark.slow
def test_the_error_shrinks_with_the_root_of_the_showers() -> None:
    flat = np.ones(len(CHANNELS))
    few, many = (estimated(showers_with(flat, s), CHANNELS, RESPONSE) for s in (60, 240))
    assert np.median(few.error / many.error) == pytest.approx(2, rel=0.1)


def test_a_channel_without_showers_has_no_gain() -> None:
    found = estimated(showers_with(np.ones(len(CHANNELS)), 2, rate=40), CHANNELS, RESPONSE)
    assert np.isnan(found.gain).any()
    assert (np.isnan(found.gain) == np.isnan(found.error)).all()


def test_the_table_has_a_row_for_each_channel_by_name() -> None:
    found = estimated(showers_with(np.ones(len(CHANNELS)), 2, rate=100), CHANNELS, RESPONSE)
    rows = as_table(found, CHANNELS, ["EB1", "EB2"])
    assert rows.num_rows == len(CHANNELS)
    assert rows["name"][13].as_py() == CHANNELS.name(13)
    assert rows["gain"].null_count == int(np.isnan(found.gain).sum())
    assert rows.schema.field("channel").type == pa.uint32()
