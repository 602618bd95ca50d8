"""A whole detector: showers anywhere, channels with ways of their own, faults that stay in place."""

from dataclasses import replace

import numpy as np
import pytest

from models.detector.channels import Channels
from models.detector.geometry import Geometry, Layer
from models.detector.grids import build
from models.detector.parts import GridGroup, GridLayer, Part
from models.simulation import fault_form, whole
from models.simulation.canvas import Home
from models.simulation.channel_faults import struck
from models.simulation.faults import FaultError

CRYSTALS = Geometry(
    "crystals-9",
    (Layer("crystals", (3, 3), (22.0, 22.0), (0.0, 230.0)),),
    noise_mev=40.0,
    least_count_mev=10.0,
    materials=(("active", "PbWO4"),),
)
PART = Part(
    "B",
    (1, 4),
    (GridLayer("crystals", (8, 6), patch=(3, 3)),),
    wrap="columns",
    groups=(GridGroup("card", (4, 3)),),
)
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


EVEN = whole.Spread()


def detector(
    channels: Channels,
    geometry: Geometry,
    given: whole.Spread = EVEN,
    *,
    largest: bool = True,
) -> whole.WholeDetector:
    rng = np.random.default_rng(1)
    pool = whole.simulated_pool(channels, geometry, np.full(400, 10_000.0), rng)
    own = whole.constants(len(channels), geometry, given, 3)
    home = Home(np.zeros(len(channels), np.int64), largest)
    return whole.WholeDetector(channels, geometry, pool, own, home)


@pytest.fixture(scope="module")
def channels() -> Channels:
    return build((PART,))


@pytest.fixture(scope="module")
def made(channels: Channels) -> whole.WholeDetector:
    return detector(channels, CRYSTALS)


def spread_out(channels: Channels, n: int, seed: int = 5) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.choice(np.flatnonzero(channels.may_seed), n).astype(np.uint32)


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


def test_a_dead_channel_is_dead_in_every_shower(
    channels: Channels, made: whole.WholeDetector
) -> None:
    fault = fault_form.parse("dead:channel=B2/20", channels=lambda name: name == "B2/20")
    dead = channels.find("B2/20")
    showers = made.read(spread_out(channels, 20_000), np.random.default_rng(2), (fault,))
    at = channels.patches(showers.seeds) == dead
    assert at.any(axis=0).sum() == 8  # at every place of the patch but the middle: it is no seed
    assert (showers.cells[at] == 0).all()
    assert not (showers.seeds == dead).any()


def spread(cells: np.ndarray, good: np.ndarray) -> float:
    """Return what was added to some cells, as a deviation."""
    return float(np.sqrt(cells.var() - good.var()))


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("gain:channel=B2/20,x=0.1", lambda cells, good: cells.mean() / good.mean() == pytest.approx(1.1, abs=0.02)),
        ("noise:channel=B2/20,x=5", lambda cells, good: spread(cells, good) == pytest.approx(196, rel=0.2)),
        ("pedestal:channel=B2/20,x=10", lambda cells, good: cells.mean() - good.mean() == pytest.approx(400, abs=15)),
        ("hot:channel=B2/20,x=50,share=1", lambda cells, good: cells.min() > 1500),
        ("trip:channel=B2/20,x=0.5", lambda cells, good: cells.mean() / good.mean() == pytest.approx(0.5, abs=0.02)),
        ("spike:channel=B2/20,mev=900,share=1", lambda cells, good: cells.mean() - good.mean() == pytest.approx(900, abs=15)),
        ("burst:channel=B2/20,x=5,share=1", lambda cells, good: spread(cells, good) == pytest.approx(200, rel=0.2)),
    ],
)  # fmt: skip
def test_a_fault_of_a_channel_is_seen_in_it_and_nowhere_else(
    channels: Channels, text: str, what: object
) -> None:
    entered = detector(channels, CRYSTALS, largest=False)
    near = np.full(3000, channels.find("B2/21"), np.uint32)  # the struck one is beside it
    fault = fault_form.parse(text, channels=lambda name: name == "B2/20")
    struck_, good = (
        entered.read(near, np.random.default_rng(4), given).cells for given in ((fault,), ())
    )
    others = np.arange(9) != 3
    assert channels.patches(near)[0, 3] == channels.find("B2/20")
    assert what(struck_[:, 3], good[:, 3])  # type: ignore[operator]
    assert struck_[:, others].mean() == pytest.approx(good[:, others].mean(), rel=0.01)


def test_two_channels_are_swapped(channels: Channels) -> None:
    made = detector(channels, CRYSTALS, largest=False)
    fault = fault_form.parse(
        "swap:channel=B2/21+B2/20", channels=lambda name: name in channels.names
    )
    near = np.full(500, channels.find("B2/21"), np.uint32)
    swapped, good = (
        made.read(near, np.random.default_rng(4), given).cells for given in ((fault,), ())
    )
    found = good[:, 3] > 120  # a seed that reads less triggers nothing
    assert swapped[:, 3].mean() == pytest.approx(good[found, 4].mean(), rel=0.02)
    assert swapped[:, 4].mean() == pytest.approx(good[found, 3].mean(), rel=0.03)


def test_a_group_is_struck_as_one(channels: Channels) -> None:
    fault = fault_form.parse("gain:channel=B3/card2,x=-0.03", channels=channels.groups.__contains__)
    assert len(struck(fault, channels)) == 12


def test_names_with_a_plus_are_names() -> None:
    known = {"EB+1/2", "EB+1/card2"}.__contains__
    fault = fault_form.parse("gain:channel=EB+1/2+EB+1/card2", channels=known)
    assert fault.channel == ("EB+1/2", "EB+1/card2")
    assert fault_form.parse(str(fault), channels=known) == fault
    assert fault_form.parse("silent:region=EB+1+4", {"EB+1": 19}).region == (19, 4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gain:channel=B9/1", "no channel or group is named 'B9/1'"),
        ("silent:channel=B1/1", "silent takes region, seconds|silent takes region, not channel"),
        ("gain:channel=B1/1,layer=crystals", "name channels or places of the patch, not both"),
        ("swap:channel=B1/1", "swap needs two regions"),
    ],
)
def test_a_wrong_fault_of_channels_is_refused_in_one_line(
    channels: Channels, text: str, message: str
) -> None:
    known = {*channels.names, *channels.groups}.__contains__
    with pytest.raises(FaultError, match=message):
        fault_form.parse(text, channels=known)


def test_a_shower_whose_seed_reads_nothing_is_not_found(
    channels: Channels, made: whole.WholeDetector
) -> None:
    known = {*channels.names, *channels.groups}.__contains__
    fault = fault_form.parse("dead:channel=B2/card1+B2/card2+B2/card3+B2/card4", channels=known)
    inside = np.full(20, channels.find("B2/20"), np.uint32)
    assert made.read(inside, np.random.default_rng(1), (fault,)).n == 0
    assert made.read(inside, np.random.default_rng(1)).n == 20


def test_groups_cannot_be_swapped(channels: Channels) -> None:
    fault = fault_form.parse("swap:channel=B1/card1+B1/1", channels=lambda name: "+" not in name)
    with pytest.raises(FaultError, match="groups cannot"):
        struck(fault, channels)


def test_channels_need_a_detector_that_says_them() -> None:
    with pytest.raises(FaultError, match="the detector file says no channels"):
        fault_form.parse("dead:channel=B1/1")


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
