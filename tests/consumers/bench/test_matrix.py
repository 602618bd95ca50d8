"""The matrix of setups: units add up over calls, and each does what its setup says."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from streams import GEOMETRY

from consumers.bench import matrix, simulated_days, trials
from consumers.bench.faults import FaultCase
from consumers.bench.resampling import Pool, pool
from consumers.bench.setups import SETUPS, Setup, as_seen
from models.scoring.scales import LEVELS
from models.scoring.scored import Scored
from models.showers.batch import Showers

SMALL = Setup(3_000, 4, "known", 4)


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


class Drawn:
    """A source whose showers are made up."""

    name, geometry = "made up", GEOMETRY

    def pools(self, setup):
        good = good_pool()
        nan = replace(good, p=np.full(good.n, np.nan))
        return {
            "good": good, "masked": good, "nan": nan,
            "strange": good_pool(p_times=LEVELS[-1]), "hot": good_pool(shift=3.0),
        }  # fmt: skip

    def has(self, _setup):
        return True


def test_there_is_a_setup_for_each_reference_detector_energy_and_mask():
    assert len({setup.name for setup in SETUPS}) == len(SETUPS) == 4 * 3 * 2 * 2
    for setup in SETUPS:
        a, b = setup.struck
        assert len({a, b, setup.masked_row}) == 3
        assert setup.detector.regions[b].id == b


def test_energies_are_told_or_not():
    showers = Showers(np.zeros((2, 4), np.float32), np.full(2, 1e3, np.float32))
    assert np.isnan(as_seen(showers, "unknown").e_inc).all()
    assert as_seen(showers, "known") is showers


@pytest.mark.slow
@pytest.mark.parametrize("masked", [0, 4])
def test_good_data_are_simulated_with_late_steps_and_page_nobody(masked, monkeypatch):
    monkeypatch.setitem(simulated_days.DAYS, 4, 0.02)
    told = simulated_days.simulated(replace(SMALL, masked=masked), 1, GEOMETRY)
    assert told["days"] == pytest.approx(0.02, rel=0.05)
    assert told["pages"] == 0
    assert told["largest"] < 0.1


@pytest.mark.slow
def test_an_hour_of_good_showers_with_masks_and_late_seconds_pages_nobody(monkeypatch):
    monkeypatch.setattr(trials, "HOUR", 90)
    told = trials.real_hour(SMALL, 0, Drawn())
    assert told["pages"] == 0
    assert told["days"] == 90 / 86_400


@pytest.mark.slow
def test_two_faults_at_once_are_both_found_with_place_and_kind():
    cases = (FaultCase("strange", "strange"), FaultCase("silent", "silent", kinds=("silent",)))
    setup = replace(SMALL, regions=64)
    told = trials._trial(setup, 0, Drawn(), cases)
    assert told["page_s"] is not None
    assert (told["place"], told["kind"], told["pages"]) == (True, True, 2)


@pytest.mark.slow
def test_units_add_up_over_calls_and_the_fewest_come_first(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(simulated_days.DAYS, 4, 0.002)
    monkeypatch.setattr(trials, "ScoredFiles", lambda *_: Drawn())
    from consumers.cli.command import main

    out = tmp_path / "m.json"
    words = ["bench", "matrix", "--only", "simulated", "--setups", "regions4-", "--out", str(out)]
    for units in ("5", "4"):
        assert main([*words, "--units", units]) == 0
    done = json.loads(out.read_text())
    assert len(done) == 9
    seen = {json.dumps(unit["setup"]) for unit in done}
    assert len(seen) == 8  # every setup once, before any comes twice
    assert {unit["setup"]["e_inc"] for unit in done} == {"known"}
    assert "| all | 0.0 |" in out.with_suffix(".md").read_text()
    assert "False pages in simulated" in capsys.readouterr().out


def test_a_setup_that_there_is_not_is_one_line(tmp_path, capsys):
    from consumers.cli.command import main

    out = str(tmp_path / "m.json")
    assert main(["bench", "matrix", "--setups", "regions5", "--out", out]) == 2
    assert "no such setup" in capsys.readouterr().err


def test_tables_tell_how_many_were_found_and_how_soon():
    trial = {"page_s": 4, "place": True, "kind": False, "pages": 1}
    unit = {"part": "delays", "setup": SETUPS[0].told(), "faults": {"hot": trial}}
    missed = {**unit, "faults": {"hot": {**trial, "page_s": None}}}
    (sheet,) = matrix.sheets([unit, unit, missed])
    assert sheet.rows[0] == ("hot", "all", "2/3", "4", "never", "100%", "0%", "1.00")
