"""What a worker sums by channel: the same in whatever batches, nothing in a test beam."""

from dataclasses import fields, replace

import numpy as np
import pytest
from memory import TINY, PlainScorer

from consumers.score.pending_range import PendingRange
from consumers.score.scoring import Batch, ModelsInForce, Part, ScoringModel
from consumers.wire.block import Block
from models.detector.grids import build
from models.detector.parts import GridLayer
from models.detector.parts import Part as Module
from models.scoring.scales import lit_threshold
from models.showers.batch import Showers
from monitor.quality.acknowledgements import Mask, Masked
from monitor.windows.channel_sums import LAYER_CLIP, ChannelSums, Standard
from monitor.windows.window import merge

LAYERS = (GridLayer("front", (1, 12), patch=(1, 3)), GridLayer("back", (1, 4), patch=(1, 1)))
CHANNELS = build((Module("M", (1, 2), LAYERS),))
N = 60


class CellScorer(PlainScorer):
    """The latent of a cell, or of a layer, is its energy."""

    def score(self, showers, absent=None, hidden=None):
        scored = super().score(showers, absent, hidden)
        cells = showers.cells
        layers = np.array([cells[:, :3].sum(1), cells[:, 3]]).T
        return replace(scored, latents=np.hstack([cells, layers]))


@pytest.fixture
def model():
    geometry = replace(
        TINY, layers=(replace(TINY.layers[0], shape=(1, 3)), replace(TINY.layers[1], shape=(1, 1)))
    )
    scorer = CellScorer()
    scorer.geometry = geometry
    standard = Standard(
        np.full((1, 6), 0.5, np.float32), np.full((1, 6), 2.0, np.float32), np.full((1, 4), 0.25)
    )
    return ScoringModel(scorer, (), np.full((1, 3), 0.1), standard=standard)


def block(n, seeds=True, seed=0):
    rng = np.random.default_rng(seed)
    may = np.flatnonzero(CHANNELS.may_seed)
    cells = rng.exponential(0.5, (n, 4)).astype(np.float32)
    chosen = rng.choice(may, n).astype(np.uint32)
    showers = Showers(cells, np.full(n, np.nan, np.float32), {}, chosen if seeds else None)
    zeros = np.zeros(n, np.int64)
    return Block(
        event_id=np.arange(n, dtype=np.uint64), time_ns=zeros + 10**18,
        run=zeros + 1, lumisection=zeros + 1, region=zeros, showers=showers, producer="", seq=None,
    )  # fmt: skip


def sums_of(model, block_) -> ChannelSums:
    showers = model.needed(block_.showers)
    batch = Batch.of([Part(0, 0, block_)])
    ((_, window),) = model.tally(batch, showers, model.score(showers, None), CHANNELS)
    return window.channels


def test_each_cell_inside_of_the_detector_is_counted_in_its_channel_and_ring(model) -> None:
    one = block(1)
    found = sums_of(model, one)
    patch = CHANNELS.patches(one.showers.seeds)[0]
    inside = patch >= 0
    assert found.showers.tolist() == [1] * int(inside.sum())
    assert sorted(found.channel.tolist()) == sorted(patch[inside].tolist())
    cells = one.showers.cells[0]
    at = {int(c): i for i, c in enumerate(patch) if c >= 0}
    for i, channel in enumerate(found.channel.tolist()):
        energy = cells[at[channel]]
        assert found.ring[i] == CHANNELS.rings[at[channel]]
        assert found.energy[i] == np.rint(energy.astype(np.float64) * 1000)
        assert found.z[i] == np.rint((energy - 0.5) / 2.0 * 64)
        assert found.lit[i] == (energy > lit_threshold(model.scorer.geometry))
        assert found.lit_expected[i] == 256


def test_the_energy_of_its_layer_is_counted_in_the_core_channel_of_each(model) -> None:
    one = block(1)
    found = sums_of(model, one)
    latents = model.score(one.showers, None).latents[0]
    wanted = np.rint(np.clip((latents[4:] - 0.5) / 2.0, -LAYER_CLIP, LAYER_CLIP) * 64)
    assert wanted.any()
    np.testing.assert_array_equal(found.layer[found.ring == 0], wanted)
    assert not found.layer[found.ring > 0].any()


def test_sums_are_the_same_in_whatever_batches(model) -> None:
    whole = block(N)
    parts = [
        sums_of(model, replace(whole, **_rows(whole, at))) for at in np.array_split(np.arange(N), 7)
    ]
    total = sums_of(model, whole)
    other = sum(parts[1:], parts[0])
    for f in fields(ChannelSums):
        np.testing.assert_array_equal(getattr(total, f.name), getattr(other, f.name))


def _rows(block_, at):
    names = ("event_id", "time_ns", "run", "lumisection", "region", "showers")
    return {name: getattr(block_, name)[at] for name in names}


def test_a_test_beam_has_no_sums_by_channel(model) -> None:
    assert sums_of(model, block(N, seeds=False)).n == 0


def test_a_masked_channel_is_a_masked_cell_of_the_showers_that_touch_it(model) -> None:
    showers = block(N).showers
    masked = Masked.of([Mask(0, (), (5,))])
    models = ModelsInForce(model, masked=masked)
    mask = models.masked_channels(showers, CHANNELS)
    np.testing.assert_array_equal(mask, CHANNELS.patches(showers.seeds) == 5)
    assert models.masked_channels(showers, None) is None


def test_sums_by_channel_count_in_the_size_of_a_range(model) -> None:
    showers = model.needed(block(N).showers)
    batch = Batch.of([Part(0, 0, block(N))])
    ((_, window),) = model.tally(batch, showers, model.score(showers, None), CHANNELS)
    bare = replace(window, channels=window.channels - window.channels)
    sizes = []
    for one in (window, bare):
        pending = PendingRange.__new__(PendingRange)
        pending.windows, pending.shadow = {one.key: merge([one])}, {}
        sizes.append(pending.bytes(model.form))
    assert sizes[0] - sizes[1] == 16 * window.channels.n
