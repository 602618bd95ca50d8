"""Masks without an alarm: each has a name of its own, by what it masks and not by its words."""

import pytest

from consumers.cli.command import main
from consumers.cli.commands.mask import name
from models.detector.files import SHIPPED, load
from monitor.detector.tree import grid
from monitor.quality.acknowledgements import parse_masks

DETECTOR = grid("calo", sectors=4, regions_per_sector=4)
GEOMETRY = load(SHIPPED / "pb-lar-504.json")


def named(text):
    return name(parse_masks(text, DETECTOR, GEOMETRY))


def test_the_same_mask_has_the_same_name_however_it_is_written():
    assert named("B2:middle[5,6];middle[5,7]") == named("B2: middle[5,7] ; middle[5,6]")


def test_other_masks_have_other_names():
    texts = ("B2", "B3", "B2:middle[5,6]", "B2:middle[5,7]", "B2:middle[5,6];middle[5,7]")
    assert len({named(text) for text in texts}) == len(texts)


@pytest.mark.parametrize("place", ["Z9", "B2:middle[99,0]", "B2:"])
def test_a_place_that_there_is_not_is_refused_before_anybody_is_told(place, capsys):
    words = ["mask", place, "--cause", "x", "--bootstrap", "127.0.0.1:1"]
    assert main(words) == 2
    assert "no " in capsys.readouterr().err
