"""A detector's names are ones that labels, messages and pages can carry."""

import pytest

from monitor.detector.tree import Detector, DetectorError, Region


@pytest.mark.parametrize(
    ("detector", "region", "sector"),
    [("ca\nlo", "A1", "A"), ("calo", "A\n1", "A"), ("calo", "A1", "A\r"), ("calo", "A1\x00", "A")],
)
def test_a_name_of_more_than_one_line_is_refused(detector, region, sector):
    with pytest.raises(DetectorError, match="of one line"):
        Detector(detector, (Region(0, region, sector),))


def test_a_name_may_have_letters_of_any_alphabet_and_spaces():
    assert Detector("Größe μ", (Region(0, "Δ 1", "α"),)).sectors == {"α": (0,)}


@pytest.mark.parametrize(("region", "sector"), [("other", "A"), ("A1", "other")])
def test_no_region_is_called_what_regions_of_no_detector_are_counted_as(region, sector):
    with pytest.raises(DetectorError, match="other"):
        Detector("calo", (Region(0, region, sector),))
