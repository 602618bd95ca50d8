"""Detector files with read-out channels: grids in a few lines, tables for all others."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv, parquet

from monitor.detector.tree import DetectorError, load

SHIPPED = Path(__file__).parents[3] / "deploy" / "detectors"

GRID = """
name = "toy"
axes = ["eta", "phi"]
[[part]]
name = "B"
modules = [1, 2]
wrap = "columns"
size = [0.4, 0.3]
[[part.layer]]
name = "crystals"
cells = [4, 3]
patch = [3, 3]
[[part.group]]
name = "card"
cells = [2, 3]
"""

TABLE = """
name = "toy"
axes = ["x / mm", "y / mm"]
[channels]
layers = ["front", "back"]
table = "channels.csv"
patches = "patches.csv"
[[region]]
id = 7
name = "A"
sector = "S"
[[region]]
id = 9
name = "B"
sector = "S"
"""

CHANNELS = """channel,layer,region,x,y,width,height,name,card
0,front,A,0,0,10,10,f0,c1
1,front,A,10,0,10,10,f1,c1
2,front,B,20,0,10,10,f2,c2
3,back,,15,0,30,10,b0,
"""

PATCHES = """seed,a,b,c,d
0,-1,0,1,3
1,0,1,2,3
2,1,2,-1,3
"""


def written(folder: Path, text: str, **files: str) -> Path:
    for name, content in files.items():
        (folder / f"{name}.csv").write_text(content)
    path = folder / "detector.toml"
    path.write_text(text)
    return path


def test_the_modules_of_a_grid_are_the_regions(tmp_path: Path) -> None:
    detector = load(written(tmp_path, GRID))
    assert [(r.id, r.name, r.sector) for r in detector.regions] == [(0, "B1", "B"), (1, "B2", "B")]
    channels = detector.channels
    assert channels is not None
    assert len(channels) == 24
    assert channels.axes == ("eta", "phi")
    assert list(channels.groups) == ["B1/card1", "B1/card2", "B2/card1", "B2/card2"]


def test_a_detector_without_channels_has_none(tmp_path: Path) -> None:
    text = 'name = "toy"\n[[region]]\nid = 0\nname = "A"\nsector = "S"\n'
    assert load(written(tmp_path, text)).channels is None


@pytest.mark.parametrize(
    ("name", "regions", "channels"), [("barrel", 36, 61_200), ("sampling", 64, 28_672)]
)
def test_the_detectors_that_ship_are_whole(name: str, regions: int, channels: int) -> None:
    detector = load(SHIPPED / f"{name}.toml")
    assert len(detector.regions) == regions
    assert detector.channels is not None
    assert len(detector.channels) == channels


def test_tables_say_any_detector(tmp_path: Path) -> None:
    detector = load(written(tmp_path, TABLE, channels=CHANNELS, patches=PATCHES))
    channels = detector.channels
    assert channels is not None
    assert channels.find("f2") == 2
    assert channels.region.tolist() == [0, 0, 1, -1]
    assert channels.layer.tolist() == [0, 0, 0, 1]
    assert channels.may_seed.tolist() == [True, True, True, False]
    assert channels.patches(np.array([2, 0], np.uint32)).tolist() == [[1, 2, -1, 3], [-1, 0, 1, 3]]
    assert channels.rings.tolist() == [1, 0, 1, 0]
    assert {name: c.tolist() for name, c in channels.groups.items()} == {
        "card/c1": [0, 1],
        "card/c2": [2],
    }


def test_tables_may_be_parquet_with_patches_as_lists(tmp_path: Path) -> None:
    written(tmp_path, TABLE, channels=CHANNELS, patches=PATCHES)
    parquet.write_table(csv.read_csv(tmp_path / "channels.csv"), tmp_path / "channels.parquet")
    lists = pa.table({"seed": [1, 0], "cells": [[0, 1, 2, 3], [-1, 0, 1, 3]]})
    parquet.write_table(lists, tmp_path / "patches.parquet")
    detector = load(written(tmp_path, TABLE.replace(".csv", ".parquet")))
    assert detector.channels is not None
    assert detector.channels.patches(np.array([0], np.uint32)).tolist() == [[-1, 0, 1, 3]]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("modules = [1, 2]", "", "part B: modules is missing"),
        ("modules = [1, 2]", "modules = [1.5, 2]", "not two whole numbers"),
        ("modules = [1, 2]", "modules = 2", "part B: modules is 2, not two whole numbers"),
        ('wrap = "columns"', 'wrap = "phi"', "wrap 'phi' is not rows or columns"),
        ('wrap = "columns"', "wrapped = true", "part B: unknown key wrapped; known are name,"),
        ("size = [0.4, 0.3]", 'size = ["a", 1]', "not two numbers"),
        ("[[part.layer]]", "[part.layer]", r"write each layer as \[\[part.layer\]\]"),
        ("[[part]]", "[part]", r"write one \[\[part\]\] table or more"),
        ("patch = [3, 3]", "patch = [3, 3]\nmissing = [[1, 2]]", "missing must be a list of"),
        ("patch = [3, 3]", "patch = [2, 3]", "patch .2, 3. must be odd"),
        ("cells = [2, 3]", "cells = [3, 3]", "group card: blocks of .3, 3. do not fill"),
        ('axes = ["eta", "phi"]', 'axes = "eta"', "axes is 'eta', not two names"),
        ('name = "crystals"', "name = 3", "layer 3: name is 3, not a text"),
    ],
)
def test_a_mistake_in_a_grid_is_told_in_one_line(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    assert old in GRID
    with pytest.raises(DetectorError, match=message) as error:
        load(written(tmp_path, GRID.replace(old, new)))
    assert "\n" not in str(error.value)
    assert "detector.toml" in str(error.value)


def test_regions_are_not_told_twice(tmp_path: Path) -> None:
    text = GRID + '[[region]]\nid = 0\nname = "A"\nsector = "S"\n'
    with pytest.raises(DetectorError, match=r"the regions of .* are its modules"):
        load(written(tmp_path, text))


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("channels", "channel,", "id,", "channels.csv: no column channel"),
        ("channels", "1,front,A", "2,front,A", "channel ids must be 0 to 3, each once: 1 is"),
        ("channels", "1,front,A", "1,middle,A", "row 2: layer 'middle' is none of front, back"),
        ("channels", "1,front,A", "1,front,C", "row 2: region 'C' is none of A, B"),
        ("channels", ",10,0,10", ",ten,0,10", "column x is string, not numbers"),
        ("channels", ",10,0,10", ",,0,10", "row 2: x is empty or not finite"),
        ("channels", "10,f1", "0,f1", "sizes > 0"),
        ("channels", "f1", "f0", "two channels are named 'f0'"),
        ("patches", "1,0,1,2,3", "1,0,1,2,4", "patches.csv: row 2: cell 4 is no channel"),
        ("patches", "1,0,1,2,3", "1,0,1,1,3", "row 2: a channel stands twice in the patch"),
        ("patches", "1,0,1,2,3", "0,0,1,2,3", "a seed stands in two rows"),
        ("patches", "1,0,1,2,3", "9,0,1,2,3", "row 2: seed 9 is no channel"),
        ("patches", "1,0,1,2,3", "1,0,1.5,2,3", "row 2: b 1.5 is not a whole number"),
        ("patches", "seed,", "s,", "seed, then a column a cell"),
    ],
)
def test_a_mistake_in_a_table_is_told_in_one_line(
    tmp_path: Path, file: str, old: str, new: str, message: str
) -> None:
    files = {"channels": CHANNELS, "patches": PATCHES}
    assert old in files[file]
    files[file] = files[file].replace(old, new, 1)
    with pytest.raises(DetectorError, match=message) as error:
        load(written(tmp_path, TABLE, **files))
    assert "\n" not in str(error.value)


def test_a_table_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DetectorError, match=r"channels\.csv"):
        load(written(tmp_path, TABLE))
