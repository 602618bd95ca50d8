"""bench channels: what is measured of channels is what it says, in units that add up."""

import json
from pathlib import Path

import numpy as np
import pytest

from consumers.bench import channel_days, channel_sheets, channel_stream, channel_trials
from consumers.bench.channel_occupancy import OccupancyMonitor
from consumers.bench.channel_sites import NAMES, sites, slots
from consumers.bench.channel_stream import WHOLE, Stream, part, watching, whole_barrel, whole_of
from consumers.cli.command import main
from models.scoring.artefact import Artefact
from monitor.windows.channel_sums import ChannelSums

ROOT = Path(__file__).parents[3]
BARREL = ROOT / "models" / "artefacts" / "barrel-flux"
FIGURES = ROOT / "deploy" / "figures"


@pytest.fixture(scope="module")
def artefact():
    return Artefact.load(BARREL)


@pytest.fixture(scope="module")
def channels():
    return part(2)[1]


@pytest.mark.parametrize("seed", range(20))
def test_faults_lie_far_from_each_other(channels, seed):
    chosen = sites(channels, 2, seed)
    each = len(slots(2)) // len(NAMES)
    assert [site.name for site in chosen].count("dead") == each == 3
    assert {site.name for site in chosen} == set(NAMES)
    where = [np.array(sorted(site.channels)) for site in chosen]
    row, column = where_of(channels)
    for i, one in enumerate(where):
        for other in where[:i]:
            apart = np.maximum(
                np.abs(row[one][:, None] - row[other]), around(column[one][:, None], column[other])
            )
            assert apart.min() >= 4


def where_of(channels):
    numbers = np.arange(len(channels)) % 1700
    return numbers // 20, np.arange(len(channels)) // 1700 * 20 + numbers % 20


def around(a, b):
    return np.minimum(np.abs(a - b), 40 - np.abs(a - b))


def test_sites_strike_as_many_channels_as_they_say(channels):
    size = {site.name: len(site.channels) for site in sites(channels, 2, 1)}
    assert size["dead card of 25"] == 25
    assert size["high voltage -3 %"] == 50
    assert size["swapped pair"] == 2
    assert size["gain -5 %"] == 1


def lit(counts):
    """Return the sums of a second in which channels were lit so often."""
    key = np.arange(len(counts)) * 3
    columns = np.array([counts, *[np.zeros(len(counts))] * 2, counts, *[np.zeros(len(counts))] * 3])
    return ChannelSums(key, *columns.astype(np.int64))


def test_occupancy_flags_what_leaves_five_sigma_and_no_less():
    monitor = OccupancyMonitor(3, 2)
    for _ in range(100):
        monitor.take(lit(np.array([50, 50, 50])), learn=True)
    for _ in range(2):
        monitor.take(lit(np.array([50, 20, 27])), learn=False)
    assert monitor.first([1]) == 2
    assert monitor.first([0, 2]) is None
    assert monitor.flags(np.array([True, True, False])) == 1


def test_occupancy_that_has_seen_no_whole_window_of_good_data_flags_nothing():
    monitor = OccupancyMonitor(1, 3)
    for learn in (True, True, False, False, False, False):
        monitor.take(lit(np.array([50])), learn=learn)
    assert monitor.first([0]) is None


@pytest.mark.slow
def test_a_part_is_watched_at_the_thresholds_of_the_whole(artefact):
    detector, some = part(2)
    barrel, every = whole_barrel()
    assert len(every) == WHOLE
    small, large = (
        watching(artefact, d, len(c)).channels for d, c in ((detector, some), (barrel, every))
    )
    first = (small.watch._needed[0], small.watch._needed[-1])
    assert first == pytest.approx((large.watch._needed[0], large.watch._needed[-1]), rel=0.02)


@pytest.mark.slow
def test_windows_of_a_stream_hold_its_showers(artefact, monkeypatch):
    monkeypatch.setattr(channel_stream, "POOL", 200)
    detector, channels = part(2)
    stream = Stream(artefact, detector, whole_of(channels, artefact, 3), 50.0, 3)
    windows = list(stream.windows(20))
    assert [window.key.second for window in windows] == list(range(1, 21))
    counted = sum(int(w.showers.sum() + w.unscored.sum() + w.unknown.sum()) for w in windows)
    assert counted == stream.showers
    assert stream.showers == pytest.approx(1000, abs=150)
    core = sum(int(w.channels.showers[w.channels.ring == 0].sum()) for w in windows)
    assert core == sum(int(window.showers.sum()) for window in windows)


def unit_of(artefact, told, part):
    said = {"part": part, "seed": 4, "artefact": artefact.hash, "cpu_s": 1.0, "done": "now"}
    return said | told


@pytest.mark.slow
def test_a_unit_tells_what_became_of_every_fault(artefact, monkeypatch):
    monkeypatch.setattr(channel_stream, "POOL", 200)
    scenario = channel_trials.Scenario(1_000.0, good=5, faults=6, alone=3)
    told = channel_trials.trials(artefact, scenario, 4)
    assert sorted({trial["fault"] for trial in told["trials"]}) == sorted(NAMES)
    assert [trial["fault"] for trial in told["alone"]] == list(NAMES)
    units = [unit_of(artefact, told, part) for part in ("1kHz", "10kHz-long")]
    page = channel_sheets.page(units)
    assert "| dead card of 25 | 0/3" in page
    assert "Faults at 10 kHz after 0.0014 h of good data" in page


@pytest.mark.slow
def test_blocks_need_the_evidence_of_the_whole_barrel(artefact, monkeypatch):
    monkeypatch.setattr(channel_stream, "POOL", 200)
    needed = channel_days.Ensemble(artefact, 2, 5).needed
    assert needed[0] == pytest.approx(30 * 86_400 * WHOLE / (0.3 * 2 / 3))
    assert needed[-1] < needed[0]


@pytest.mark.slow
def test_good_days_are_quiet_and_a_dead_channel_is_not(artefact, monkeypatch):
    monkeypatch.setattr(channel_stream, "POOL", 1500)
    monkeypatch.setattr(channel_days, "DAYS", 0.2)
    monkeypatch.setattr(channel_days, "BLOCKS", 8)
    told = channel_days.days(artefact, 5)
    found = {one["share"]: one["found"] for one in told["crossings"]}
    assert found[1.0] == found[1e-3] == 0
    assert told["epochs"] >= 3

    page = channel_sheets.page([unit_of(artefact, told, "days")])
    assert "| 1 | 7.7" in page  # of 10, for blocks have fewer groups than the barrel

    class Dead(channel_days.SumsOfGood):
        def draw(self):
            sums = super().draw()
            for name in ("lit", "energy", "z"):
                getattr(sums, name)[sums.channel % 50 == 7] = -300 if name == "z" else 0
            return sums

    monkeypatch.setattr(channel_days, "SumsOfGood", Dead)
    assert channel_days.days(artefact, 5)["crossings"][-1]["found"] >= 1


def test_a_detector_of_other_cells_is_refused_in_one_line(tmp_path, capsys):
    words = ["bench", "channels", f"--artefact={BARREL}", f"--out={tmp_path / 'x.json'}"]
    assert main([*words, f"--detector={ROOT / 'deploy/detectors/sampling.toml'}"]) == 2
    assert "--detector is for --only borders" in capsys.readouterr().err


def test_the_committed_page_is_that_of_the_committed_figures():
    units = json.loads((FIGURES / "channels.json").read_text(encoding="utf-8"))
    assert (FIGURES / "channels.md").read_text(encoding="utf-8") == channel_sheets.page(units)
