"""Faults of channels and groups stay in their place, whichever shower comes there."""

import numpy as np
import pytest
from whole_detector import CRYSTALS, detector, spread_out

from models.detector.channels import Channels
from models.simulation import fault_form, whole
from models.simulation.channel_faults import struck
from models.simulation.faults import FaultError


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


def test_groups_cannot_be_swapped(channels: Channels) -> None:
    fault = fault_form.parse("swap:channel=B1/card1+B1/1", channels=lambda name: "+" not in name)
    with pytest.raises(FaultError, match="groups cannot"):
        struck(fault, channels)


def test_channels_need_a_detector_that_says_them() -> None:
    with pytest.raises(FaultError, match="the detector file says no channels"):
        fault_form.parse("dead:channel=B1/1")
