"""A whole detector: showers anywhere, channels with ways of their own, faults that stay in place."""

from dataclasses import replace

import numpy as np
import pytest
from whole_detector import CRYSTALS, detector, spread_out

from models.detector.channels import Channels
from models.detector.geometry import Geometry, Layer
from models.detector.grids import build
from models.detector.parts import GridLayer, Part
from models.simulation import fault_form, whole
from models.simulation.canvas import Home
from models.simulation.faults import FaultError

LAYERED = Part(
    "C",
    (1, 4),
    (
        GridLayer("strips", (32, 2), patch=(12, 2)),
        GridLayer("middle", (8, 8), patch=(3, 3)),
        GridLayer("back", (4, 8), patch=(3, 3)),
    ),
    seed="middle",
    wrap="columns",
)
SAMPLING = Geometry(
    "sampling-42",
    (
        Layer("strips", (12, 2), (10.0, 160.0), (0.0, 90.0)),
        Layer("middle", (3, 3), (40.0, 40.0), (90.0, 437.0)),
        Layer("back", (3, 3), (80.0, 40.0), (437.0, 480.0)),
    ),
    noise_mev=1.0,
    least_count_mev=0.25,
    sampling_fraction=0.19,
    materials=(("active", "LAr"), ("active_mm", 4.0), ("passive", "Pb"), ("passive_mm", 2.0)),
)


def sum_by_channel(channels: Channels, showers: object) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean energy of each channel as the core of its showers, and how many there were."""
    seeds, cells = showers.seeds, showers.cells  # type: ignore[attr-defined]
    middle = int(np.flatnonzero(channels.rings == 0)[0])
    n = np.bincount(seeds, minlength=len(channels))
    return np.bincount(seeds, cells[:, middle], len(channels)) / np.maximum(n, 1), n


def test_the_seed_is_the_cell_that_reads_most(
    channels: Channels, made: whole.WholeDetector
) -> None:
    entered = spread_out(channels, 500)
    showers = made.read(entered, np.random.default_rng(2))
    assert (showers.cells.argmax(axis=1) == 4).all()
    assert showers.seeds is not None
    assert (showers.seeds != entered).mean() < 0.05  # only where a particle enters at an edge


def test_particles_enter_anywhere_in_the_seed(
    channels: Channels, made: whole.WholeDetector
) -> None:
    showers = made.read(spread_out(channels, 4000), np.random.default_rng(2))
    inner = (channels.patches(showers.seeds) >= 0).all(axis=1)
    share = showers.cells[inner, 4] / showers.cells[inner].sum(axis=1)
    assert share.min() < 0.45
    assert share.max() > 0.75
    mean = showers.cells[inner].mean(axis=0).reshape(3, 3)
    assert mean[0, 1] == pytest.approx(mean[2, 1], rel=0.2)
    assert mean[1, 0] == pytest.approx(mean[1, 2], rel=0.2)


def test_cells_outside_of_the_detector_read_nothing(
    channels: Channels, made: whole.WholeDetector
) -> None:
    edge = np.full(50, channels.find("B1/1"), np.uint32)
    showers = made.read(edge, np.random.default_rng(2))
    assert (showers.cells[channels.patches(showers.seeds) < 0] == 0).all()


def test_one_seed_of_the_generator_makes_the_same_showers(
    channels: Channels, made: whole.WholeDetector
) -> None:
    entered = spread_out(channels, 50)
    once, again = (made.read(entered, np.random.default_rng(9)) for _ in range(2))
    assert (once.cells == again.cells).all()


def test_a_seed_stays_where_it_belongs(channels: Channels, made: whole.WholeDetector) -> None:
    apart = replace(made, home=Home(channels.region.astype(np.int64), largest=True))
    entered = spread_out(channels, 2000)
    showers = apart.read(entered, np.random.default_rng(2))
    assert (channels.region[showers.seeds] == channels.region[entered]).all()


def test_gains_belong_to_channels(channels: Channels) -> None:
    uneven = detector(channels, CRYSTALS, whole.Spread(gain=0.2), largest=False)
    showers = uneven.read(spread_out(channels, 40_000), np.random.default_rng(2))
    mean, n = sum_by_channel(channels, showers)
    assert n.min() > 100
    ratio = mean / uneven.constants.gain
    assert np.corrcoef(mean, uneven.constants.gain)[0, 1] > 0.97
    assert ratio.std() / ratio.mean() < 0.05


def test_a_shower_whose_seed_reads_nothing_is_not_found(
    channels: Channels, made: whole.WholeDetector
) -> None:
    known = {*channels.names, *channels.groups}.__contains__
    fault = fault_form.parse("dead:channel=B2/card1+B2/card2+B2/card3+B2/card4", channels=known)
    inside = np.full(20, channels.find("B2/20"), np.uint32)
    assert made.read(inside, np.random.default_rng(1), (fault,)).n == 0
    assert made.read(inside, np.random.default_rng(1)).n == 20


def test_layers_of_other_cells_hold_the_shower_at_its_place() -> None:
    channels = build((LAYERED,))
    made = detector(channels, SAMPLING)
    assert len(np.unique(made.pool.canvas.phases[channels.may_seed])) == 8
    inner = whole.complete(channels)
    showers = made.read(np.random.default_rng(1).choice(inner, 6000), np.random.default_rng(2))
    patches = channels.patches(showers.seeds)
    keep = (patches >= 0).all(axis=1)
    for layer, cut in zip((0, 1, 2), SAMPLING.slices, strict=True):
        at = (
            channels.position[patches[keep][:, cut]]
            - channels.position[showers.seeds[keep]][:, None]
        )
        at[:, :, 1] = (at[:, :, 1] + 2) % 4 - 2  # φ closes
        weight = np.maximum(showers.cells[keep][:, cut].astype(float), 0) + 1e-9
        centre = (at * weight[:, :, None]).sum(1) / weight.sum(1)[:, None]
        cell = channels.size[patches[keep][0, cut.start]]
        assert np.abs(centre.mean(axis=0)).max() < 0.1 * cell.max(), layer


class Table:
    """A patch map that is no grid."""

    shapes = ()

    def __init__(self, channels: Channels) -> None:
        self._channels = channels
        self.may_seed, self.rings = channels.may_seed, channels.rings

    def __call__(self, seeds: np.ndarray) -> np.ndarray:
        return self._channels.patch_map(seeds)


def test_a_detector_of_another_form_is_simulated_on_its_patches(channels: Channels) -> None:
    other = replace(channels, patch_map=Table(channels))
    made = detector(other, CRYSTALS)
    entered = whole.complete(other)
    showers = made.read(entered, np.random.default_rng(2))
    assert (showers.seeds == entered).all()
    assert showers.cells[:, 4].mean() > 0.4 * showers.cells.sum(axis=1).mean()


@pytest.mark.parametrize("text", ["gain", "gain=2", "gains=0.1", "gain=-0.1", "gain=0.1;noise=0.1"])
def test_a_wrong_spread_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(FaultError, match=r"write gain=0\.01"):
        whole.spread(text)


def test_a_spread_may_be_said_in_part() -> None:
    assert whole.spread("") == whole.Spread()
    assert whole.spread("noise=0.1") == whole.Spread(noise=0.1)
