"""Channels that are known to be bad are so from when until when the file says."""

from pathlib import Path

import numpy as np
import pytest

from models.detector.channels import Channels, ChannelsError
from models.detector.grids import build
from models.detector.known_bad import load
from models.detector.parts import GridGroup, GridLayer, Part

HEADER = "channel,from,until,cause\n"
NOON_NS = 1_795_608_000 * 10**9
"""2026-11-25T12:00:00Z."""


@pytest.fixture(scope="module")
def channels() -> Channels:
    layers = (GridLayer("crystals", (2, 3), patch=(1, 3)),)
    return build((Part("B", (1, 2), layers, groups=(GridGroup("card", (2, 1)),)),))


def written(folder: Path, *rows: str) -> Path:
    path = folder / "bad.csv"
    path.write_text(HEADER + "\n".join(rows) + "\n")
    return path


def test_a_channel_is_bad_while_it_is_said_to_be(tmp_path: Path, channels: Channels) -> None:
    rows = "B1/2,2026-11-25T12:00:00Z,2026-11-25T13:00:00+00:00,tripped", "B2/1,,,dead for years"
    bad = load(written(tmp_path, *rows), channels)
    hour = 3600 * 10**9
    names = [
        [channels.name(c) for c in np.flatnonzero(bad.at(NOON_NS + shift))]
        for shift in (-1, 0, hour - 1, hour)
    ]
    assert names == [["B2/1"], ["B1/2", "B2/1"], ["B1/2", "B2/1"], ["B2/1"]]


def test_the_cells_of_a_shower_are_bad_at_its_own_time(tmp_path: Path, channels: Channels) -> None:
    bad = load(written(tmp_path, "B1/card2,2026-11-25T12:00:00Z,,supply"), channels)
    seeds = np.array([channels.find(n) for n in ("B1/1", "B1/1", "B2/3", "B1/5")], np.uint32)
    times = np.array([NOON_NS - 1, NOON_NS, NOON_NS, NOON_NS + 5])
    assert bad.cells(channels.patches(seeds), times).tolist() == [
        [False, False, False],
        [False, False, True],
        [False, False, False],
        [False, True, False],
    ]


def test_a_file_without_rows_says_that_nothing_is_bad(tmp_path: Path, channels: Channels) -> None:
    bad = load(written(tmp_path), channels)
    patches = channels.patches(np.array([0], np.uint32))
    assert not bad.cells(patches, np.array([NOON_NS])).any()


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("B9/1,,,x", "row 1: no channel or group is named 'B9/1'"),
        ("B1/1,yesterday,,x", "row 1: from is 'yesterday', not ISO 8601"),
        ("B1/1,2026-11-25T12:00:00,,x", "it has no offset from UTC"),
        ("B1/1,2026-11-25T12:00:00Z,2026-11-25T12:00:00Z,x", "that is never"),
        ("B1/1,,", "row 1: 3 columns, 4 are wanted"),
    ],
)
def test_a_wrong_row_is_told_in_one_line(
    tmp_path: Path, channels: Channels, row: str, message: str
) -> None:
    with pytest.raises(ChannelsError, match=message) as error:
        load(written(tmp_path, row), channels)
    assert "bad.csv" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_of_another_form_is_refused(tmp_path: Path, channels: Channels) -> None:
    path = tmp_path / "bad.csv"
    path.write_text("id\n3\n")
    with pytest.raises(ChannelsError, match="the first line must be channel,from,until,cause"):
        load(path, channels)
