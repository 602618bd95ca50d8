"""The matrix of setups: units add up over calls, and each does what its setup says."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from streams import GEOMETRY

from consumers.app.settings import ROOT
from consumers.bench import matrix, simulated_days, trials
from consumers.bench.faults import FaultCase
from consumers.bench.resampling import Pool, pool
from consumers.bench.setups import RATE, SETUPS, Setup, as_seen
from consumers.bench.simulated_days import Drawn, SideBySide
from models.scoring.scales import LEVELS, P_EDGES
from models.scoring.scored import Scored
from models.showers.batch import Showers
from monitor.detector.places import Places
from monitor.judging.settings import MonitorSettings
from monitor.sequential.bank import Bank
from monitor.sequential.cells import Sums
from monitor.sequential.evidence import RATES_SHARE
from monitor.sequential.rates import Counts
from monitor.sequential.traffic import Traffic, nowhere

SMALL = Setup(3_000, 4, "known", 4)
D = GEOMETRY.n_cells + GEOMETRY.n_layers


def good_pool(n: int = 4000, p_times: float = 1.0, shift: float = 0.0) -> Pool:
    rng = np.random.default_rng(1)
    d = GEOMETRY.n_cells + GEOMETRY.n_layers
    showers = Showers(
        rng.exponential(2, (n, GEOMETRY.n_cells)).astype(np.float32), np.full(n, 1e3, np.float32)
    )
    p = np.column_stack([rng.permutation(n) + 0.5 for _ in range(3)]) / n * p_times
    z = rng.normal(size=(n, d)).astype(np.float32)
    z[:, 3] += shift
    scored = Scored(
        np.zeros((n, 2), np.float32), p[:, :2], p[:, 2], z, rng.integers(0, 3, n),
        np.ones(n, bool), np.zeros(n, bool), np.zeros((n, 2), np.int64),
    )  # fmt: skip
    return pool(showers, scored, GEOMETRY, 3)


class MadeUp:
    """A source whose showers are made up."""

    name, geometry = "made up", GEOMETRY

    def pools(self, setup, *, faults):
        good = good_pool()
        nan = replace(good, p=np.full(good.n, np.nan))
        return {
            "good": good, "masked": good, "nan": nan,
            "strange": good_pool(p_times=LEVELS[-1]), "hot": good_pool(shift=3.0),
        }  # fmt: skip

    def has(self, _setup, *, faults):
        return True


def test_there_is_a_setup_for_each_reference_detector_energy_and_mask():
    assert len({setup.name for setup in SETUPS}) == len(SETUPS) == 4 * 3 * 2 * 2 + 2
    for setup in SETUPS:
        a, b = setup.struck
        assert len({a, b, setup.masked_row}) == 3
        assert setup.detector.regions[b].id == b


@pytest.mark.parametrize(
    ("text", "chosen"),
    [("ref10000", 12), ("regions4", 16), ("known", 26), ("masked4", 24), ("ref32400-regions64-known", 4)],
)  # fmt: skip
def test_setups_are_chosen_by_whole_parts_of_their_names(text, chosen):
    assert sum(setup.fits(text) for setup in SETUPS) == chosen


def test_masked_are_the_cells_nearest_to_the_axis():
    cells = replace(SMALL, masked=4).masked_cells(GEOMETRY)
    off_axis = np.hypot(*GEOMETRY.centres[:, :2].T)
    assert sorted(off_axis)[:4] == pytest.approx(sorted(off_axis[cells]))
    assert replace(SMALL, masked=0).masked_cells(GEOMETRY).tolist() == []


def test_energies_are_told_or_not():
    showers = Showers(np.zeros((2, 4), np.float32), np.full(2, 1e3, np.float32))
    assert np.isnan(as_seen(showers, "unknown").e_inc).all()
    assert as_seen(showers, "known") is showers


@pytest.mark.slow
@pytest.mark.parametrize("masked", [0, 4])
def test_good_data_are_simulated_with_late_steps_and_page_nobody(masked, monkeypatch):
    monkeypatch.setitem(simulated_days.DAYS, 4, 0.02)
    monkeypatch.setattr(simulated_days, "COPIES", 3)
    told = simulated_days.simulated(replace(SMALL, masked=masked), 1, GEOMETRY)
    assert told["days"] == pytest.approx(3 * 0.02, rel=0.05)
    assert told["pages"] == 0
    assert told["largest"] < 0.1


class OneByOne:
    """The tests of one detector, place by place: each sees what the monitor's tests would."""

    def __init__(self, side_by_side: SideBySide, setup: Setup) -> None:
        self.tests = side_by_side
        self.places = Places(setup.detector)
        needed = MonitorSettings().allowance.page_at(self.places)
        self.banks = [
            Bank(self.places.n, side_by_side._rates.weights * RATES_SHARE, needed),
            Bank(
                self.places.n, side_by_side._cells.weights * (1 - RATES_SHARE), needed, np.float32
            ),
        ]

    def take(self, drawn: Drawn, seconds: int, since: int) -> None:
        rates, cells = [], []
        for members in self.places.members:
            n = members.sum() * float(drawn.n)
            sums = drawn.sums[0][members].sum(0)
            z, square, lit = np.split(sums, [D, 2 * D])
            cells.append(
                self.tests._cells.log_e(Sums(np.full((1, 1), n), z[None], square[None], lit[None]))
            )
            rates.append(self.tests._rates.log_e(self._counts(drawn, members, n)))
        self.banks[0].step(np.concatenate(rates), seconds, since)
        self.banks[1].step(np.concatenate(cells), seconds, since)

    def _counts(self, drawn: Drawn, members: np.ndarray, n: float) -> Counts:
        p_counts = drawn.p_counts[0][members].sum(0)
        beyond = [p_counts[P_EDGES[1:] <= level].sum() for level in LEVELS]
        share, beside = members.mean(), nowhere(1)
        if drawn.traffic is not None and share < 1:
            here, whole = drawn.traffic[0][members].sum(), drawn.traffic[0].sum()
            usual = RATE * simulated_days.STEP_S * (1 - share)
            beside = Traffic(*(np.array([x]) for x in (here, whole - here, share, usual)))
        one = np.array([n])
        return Counts(one[None], np.array([beyond]), p_counts[None, None], 0 * one, one, beside)


def test_setups_that_differ_in_masks_alone_are_days_of_their_own(monkeypatch):
    monkeypatch.setitem(simulated_days.DAYS, 4, 0.002)
    monkeypatch.setattr(simulated_days, "COPIES", 1)
    drawn = []

    class Kept(SideBySide):
        def draw(self, *args, **kwargs):
            drawn.append(super().draw(*args, **kwargs))
            return drawn[-1]

    monkeypatch.setattr(simulated_days, "SideBySide", Kept)
    for masked in (0, 4):
        simulated_days.simulated(replace(SMALL, masked=masked), 0, GEOMETRY)
    without, with_masks = drawn[0], drawn[len(drawn) // 2]
    assert without.n != with_masks.n or (without.p_counts != with_masks.p_counts).any()


@pytest.mark.parametrize(("regions", "copies"), [(4, 64), (64, 16), (1024, 1)])
def test_small_detectors_have_many_copies_and_large_ones_few(regions, copies):
    assert simulated_days.copies_of(replace(SMALL, regions=regions), GEOMETRY) == copies


def test_each_of_many_copies_side_by_side_is_what_one_alone_would_be():
    setup = replace(SMALL, masked=0)
    many = SideBySide(setup, GEOMETRY, 3, np.random.default_rng(1))
    alone = [OneByOne(many, setup) for _ in range(3)]
    for step in range(6):
        for share, seconds in ((0.02, 60), (0.005, 0)):
            drawn = many.draw(share, late=not seconds)
            drawn.sums[1, 2, 3] += 2 * drawn.n  # one copy has a fault
            many.take(drawn, seconds, step)
            for i, one in enumerate(alone):
                one.take(drawn.copy(i), seconds, step)
    evidence = many.evidence()
    for i, one in enumerate(alone):
        expected = sum(bank.total() for bank in one.banks)
        np.testing.assert_allclose(evidence[i], expected, rtol=1e-3)
    faulty = evidence >= many.warn_at
    assert faulty[1, Places(setup.detector).first_region + 2]
    assert not faulty[[0, 2]].any()
    many.forget(faulty)
    assert (many.evidence() < many.warn_at).all()
    np.testing.assert_array_equal(many.evidence()[[0, 2]], evidence[[0, 2]])


@pytest.mark.slow
def test_an_hour_of_good_showers_with_masks_and_late_seconds_pages_nobody(monkeypatch):
    monkeypatch.setattr(trials, "HOUR", 90)
    told = trials.real_hour(SMALL, 0, MadeUp())
    assert told["pages"] == 0
    assert told["days"] == 90 / 86_400


@pytest.mark.slow
def test_two_faults_at_once_are_both_found_with_place_and_kind():
    cases = (FaultCase("strange", "strange"), FaultCase("silent", "silent", kinds=("silent",)))
    setup = replace(SMALL, regions=64)
    told = trials._trial(trials._bench(setup, 0, MadeUp(), faults=True), cases)
    assert told["page_s"] is not None
    assert (told["place"], told["kind"], told["pages"]) == (True, True, 2)


@pytest.mark.slow
def test_units_add_up_over_calls_and_the_fewest_come_first(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(simulated_days.DAYS, 4, 0.002)
    monkeypatch.setattr(simulated_days, "COPIES", 1)
    monkeypatch.setattr(trials, "ScoredFiles", lambda *_: MadeUp())
    from consumers.cli.command import main

    out = tmp_path / "m.json"
    words = ["bench", "matrix", "--only", "simulated", "--setups", "regions4", "--out", str(out)]
    for units in ("5", "4"):
        assert main([*words, "--units", units]) == 0
    done = json.loads(out.read_text())
    assert len(done) == 9
    seen = {json.dumps(unit["setup"]) for unit in done}
    assert len(seen) == 8  # every setup once, before any comes twice
    assert {unit["setup"]["e_inc"] for unit in done} == {"known"}
    assert "| all | 0.02 |" in out.with_suffix(".md").read_text()
    assert "False pages in simulated" in capsys.readouterr().out


def test_a_setup_that_there_is_not_is_one_line(tmp_path, capsys):
    from consumers.cli.command import main

    out = str(tmp_path / "m.json")
    assert main(["bench", "matrix", "--setups", "regions5", "--out", out]) == 2
    assert "no such setup" in capsys.readouterr().err


def test_tables_tell_how_many_were_found_and_how_soon():
    trial = {"page_s": 4, "place": True, "kind": False, "pages": 1}
    setup = SETUPS[0].told()
    unit = {"part": "delays", "setup": setup, "artefact": "a 12", "faults": {"hot": trial}}
    missed = {**unit, "faults": {"hot": {**trial, "page_s": None}}}
    (sheet,) = matrix.sheets([unit, unit, missed])
    assert sheet.rows[0] == ("hot", "all", "2/3", "4", "never", "100%", "0%", "1.00")


@pytest.mark.slow
def test_units_of_another_model_are_counted_apart(tmp_path, monkeypatch):
    monkeypatch.setitem(simulated_days.DAYS, 4, 0.002)
    monkeypatch.setattr(simulated_days, "COPIES", 1)
    from consumers.cli.command import main

    out = tmp_path / "m.json"
    words = ["bench", "matrix", "--only", "simulated", "--setups", "ref3000-regions4"]
    for name in ("one 1", "two 2"):
        monkeypatch.setattr(MadeUp, "name", name)
        monkeypatch.setattr(trials, "ScoredFiles", lambda *_: MadeUp())
        assert main([*words, "--out", str(out), "--units", "1"]) == 0
    assert [unit["seed"] for unit in json.loads(out.read_text())] == [0, 0]
    page = out.with_suffix(".md").read_text()
    assert "| all of one |" in page
    assert "ref3000-regions4-known-masked0 two |" in page


def test_the_committed_page_is_that_of_the_committed_units():
    figures = ROOT / "deploy" / "figures"
    units = json.loads((figures / "matrix.json").read_text())
    assert (figures / "matrix.md").read_text() == matrix.page(units)
