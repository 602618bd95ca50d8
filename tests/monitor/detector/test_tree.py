"""A detector's names are ones that labels and pages can carry; its sectors are a tree of any depth."""

import pytest

from monitor.detector.tree import Detector, DetectorError, Region, grid, load


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


FILE = """
name = "ecal"
[sectors]
barrel = ["EB-", "EB+"]
ecal = ["barrel"]
[[region]]
id = 3
name = "B1"
sector = "EB-"
[[region]]
id = 1
name = "E1"
sector = "EE"
[[region]]
id = 2
name = "B2"
sector = "EB+"
"""
PART = """
name = "toy"
[sectors]
barrel = ["B-", "B+"]
[[part]]
name = "B"
modules = [2, 2]
sectors = ["B-", "B+"]
[[part.layer]]
name = "crystals"
cells = [4, 3]
patch = [3, 3]
"""


def of_file(folder, text):
    path = folder / "detector.toml"
    path.write_text(text)
    return load(path)


def test_a_file_may_say_which_sectors_lie_in_which(tmp_path):
    ecal = of_file(tmp_path, FILE)
    assert ecal.sectors == {
        "ecal": (3, 2),
        "barrel": (3, 2),
        "EB-": (3,),
        "EE": (1,),
        "EB+": (2,),
    }
    assert ecal.path("EB+") == ("ecal", "barrel", "EB+")
    assert ecal.path("EE") == ("EE",)
    assert ecal.innermost == {"EB-": (3,), "EE": (1,), "EB+": (2,)}


def test_the_sectors_of_modules_may_lie_in_others_too(tmp_path):
    toy = of_file(tmp_path, PART)
    assert [region.name for region in toy.regions] == ["B-1", "B-2", "B+1", "B+2"]
    assert toy.sectors == {"barrel": (0, 1, 2, 3), "B-": (0, 1), "B+": (2, 3)}


def test_a_region_may_lie_in_a_sector_of_sectors(tmp_path):
    regions = (Region(0, "A1", "A"), Region(1, "X", "all"))
    assert Detector("calo", regions, outer={"all": ("A",)}).sectors == {"all": (0, 1), "A": (0,)}


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ('barrel = ["EB-", "EB-"]', "'EB-' lies in two sectors"),
        ('a = ["EB-"]\nb = ["EB-"]', "'EB-' lies in two sectors"),
        ('a = ["EB-", "b"]\nb = ["a"]', "lies in itself"),
        ('a = ["a"]', "'a' lies in itself"),
        ('a = ["b"]\nb = ["a"]', "'a' lies in itself"),
        ('barrel = ["HB"]', "no region and no sector lies in sector 'HB'"),
        ("barrel = []", "no region and no sector lies in sector 'barrel'"),
        ('barrel = "EB-"', r"says which sectors lie in one"),
        ("barrel = [1]", r"says which sectors lie in one"),
        ('other = ["EB-"]', "'other'"),
        ('"a\\nb" = ["EB-"]', "of one line"),
    ],
)
def test_sectors_that_are_no_tree_are_refused_in_words(lines, words, tmp_path):
    begin, _, rest = FILE.partition('barrel = ["EB-", "EB+"]\necal = ["barrel"]')
    with pytest.raises(DetectorError, match=words):
        of_file(tmp_path, begin + lines + rest)


def test_sectors_that_are_no_table_are_refused(tmp_path):
    with pytest.raises(DetectorError, match="says which sectors lie in one"):
        of_file(tmp_path, 'sectors = ["A"]\n' + FILE.replace("[sectors]", "[axes]"))


def test_a_part_of_a_detector_keeps_the_sectors_that_still_have_regions():
    calo = grid("calo", sectors=3, regions_per_sector=2)
    whole = Detector("calo", calo.regions, outer={"all": ("half", "C"), "half": ("A", "B")})
    part = whole.part(2, 6)
    assert part.regions == calo.regions[2:]
    assert part.sectors == {"all": (2, 3, 4, 5), "half": (2, 3), "B": (2, 3), "C": (4, 5)}
