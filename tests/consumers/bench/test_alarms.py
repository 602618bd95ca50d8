"""The benchmark of the alarms runs, keeps the figures of parts that it does not run, and adds up."""

from __future__ import annotations

import json

import numpy as np
import pytest
from streams import GEOMETRY

from consumers.app.settings import ROOT
from consumers.bench import alarms, count_simulation, faults
from consumers.bench.faults import FaultCase, Trial, cases_of
from consumers.bench.plan import REGIONS
from consumers.bench.pools import FAULTS, FILES, with_p
from consumers.bench.resampling import Pool, accepted, chosen, joined, pool, reference_of, window
from consumers.cli.command import main
from models.scoring.scored import Scored
from models.showers.batch import Showers


def some_pool(n: int = 2000, seed: int = 1, k: int = 3) -> Pool:
    rng = np.random.default_rng(seed)
    d = GEOMETRY.n_cells + GEOMETRY.n_layers
    showers = Showers(
        rng.exponential(2, (n, GEOMETRY.n_cells)).astype(np.float32), np.full(n, 1e3, np.float32)
    )
    p = rng.uniform(1e-6, 1, (n, 3))
    valid = rng.random(n) > 0.05
    scored = Scored(
        np.zeros((n, 2), np.float32), p[:, :2], np.where(valid, p[:, 2], np.nan),
        rng.normal(size=(n, d)).astype(np.float32), rng.integers(0, k, n), valid,
        np.zeros(n, bool), np.zeros((n, 2), np.int64),
    )  # fmt: skip
    return pool(showers, scored, GEOMETRY, k)


def test_a_resampled_window_counts_each_shower_once():
    source = some_pool()
    rng = np.random.default_rng(2)
    seen = window(rng, 5, [(source, np.array([100.0, 0.0, 50.0]))])
    assert seen.n == int(seen.showers.sum() + seen.unscored.sum())
    assert 90 < seen.n < 220
    assert seen.showers[1].sum() == 0
    assert (seen.p_counts.sum(2) == seen.showers.sum(1)[:, None]).all()
    assert (np.diff(seen.exceedances.sum(1), axis=1) <= 0).all()


def test_a_reference_drawn_from_a_pool_expects_what_the_pool_holds():
    source = some_pool()
    reference = reference_of(source, 40_000, np.random.default_rng(3))
    valid = ~np.isnan(source.p)
    rate = reference.exceedances.sum(0) / reference.showers.sum()
    assert rate == pytest.approx(
        [np.mean(source.p[valid] <= a) for a in (0.1, 0.01, 0.001)], rel=0.2
    )
    mean = np.average(reference.latent_mean, axis=0, weights=reference.latent_showers)
    assert mean == pytest.approx(source.z.mean(0) / 256, abs=0.02)
    assert reference.n == pytest.approx(40_000 * valid.mean(), rel=0.02)


def test_accepted_sums_are_those_of_so_many_draws():
    source = some_pool()
    total = accepted([(source, 90_000), (some_pool(seed=9), 10_000)], np.random.default_rng(4))
    assert total.n == pytest.approx(95_000, rel=0.01)
    assert total.lit / 100_000 == pytest.approx(source.lit.mean(0), abs=0.05)


def test_pools_are_chosen_from_and_joined_row_by_row():
    source = some_pool()
    rows = np.array([5, 3, 3])
    part = chosen(source, rows)
    assert part.n == 3
    np.testing.assert_array_equal(part.z, source.z[rows])
    both = joined([part, source])
    assert both.n == source.n + 3
    np.testing.assert_array_equal(both.p_bin[3:], source.p_bin)


def test_other_p_count_in_their_own_bins():
    source = some_pool()
    other = with_p(source, np.where(np.isnan(source.p), np.nan, 0.005))
    known = ~np.isnan(source.p)
    assert set(other.p_bin[known, -1]) == {4}
    np.testing.assert_array_equal(other.p_bin[:, :-1], source.p_bin[:, :-1])


def test_a_fault_that_is_not_always_found_has_no_90_percent_delay():
    trials = [
        Trial(page=float(d), kind="hot", first_kind="gain" if d < 3 else "hot") for d in range(1, 9)
    ]
    trials += [Trial(), Trial()]
    told = faults.told(trials, FaultCase("x", "hot", kinds=("hot",)))
    assert told["found"] == 8
    assert told["page_median_s"] == 6
    assert told["page_90_s"] is None
    assert told["kind_right"] == 0.8
    assert told["first_kind_right"] == 0.6
    assert told["kinds"] == {"hot": 8, "not found": 2}


def test_every_case_strikes_regions_and_has_a_pool():
    for case in cases_of(353):
        assert 0 < len(case.rows) <= REGIONS
        assert case.pool in {*FAULTS, *FILES, "strange", "nan", "silent"}


def run_parts(out, *words):
    return main(
        ["bench", "alarms", "--days", "1", "--region-days", "0.1", "--out", str(out), *words]
    )


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setattr(count_simulation, "DAY", 1800.0)


@pytest.mark.slow
def test_parts_that_are_not_run_keep_their_figures_and_say_what_made_them(tmp_path, short, capsys):
    out = tmp_path / "alarms.json"
    assert run_parts(out, "--only", "latents") == 0
    before = json.loads(out.read_text())
    capsys.readouterr()
    assert run_parts(out, "--only", "false-pages", "--seed", "77") == 0
    told = json.loads(out.read_text())
    assert set(told) == {"latents", "false-pages"}
    assert told["latents"] == before["latents"]
    made = told["false-pages"]["made"]
    assert (made["seed"], len(made["code"])) == (77, 64)
    assert told["false-pages"]["pages"] == 0
    assert told["false-pages"]["budget"] == pytest.approx(1 / 30)
    said = capsys.readouterr()
    assert "calodqm: pages" in said.out
    kept = [line for line in said.err.splitlines() if line.startswith("latents: kept from")]
    assert len(kept) == 1
    assert "seed" in kept[0]
    assert "## latents" in out.with_suffix(".md").read_text()


def test_figures_of_no_known_origin_are_not_kept(tmp_path, short):
    out = tmp_path / "alarms.json"
    out.write_text(json.dumps({"delays": {"kept": True}, "gone": {"made": {}}}))
    assert run_parts(out, "--only", "false-pages") == 0
    assert set(json.loads(out.read_text())) == {"false-pages"}


@pytest.mark.slow
def test_two_processes_make_the_same_figures_as_one(tmp_path):
    words = ["--only", "latents", "--region-days", "0.02"]
    assert run_parts(tmp_path / "one.json", *words) == 0
    assert run_parts(tmp_path / "two.json", *words, "--jobs", "2") == 0
    one, two = (json.loads((tmp_path / f"{n}.json").read_text())["latents"] for n in ("one", "two"))
    assert one.pop("made")["code"] == two.pop("made")["code"]
    assert one == two
    page = (tmp_path / "one.md").read_text()
    assert "Latents of single regions" in page


@pytest.mark.parametrize(
    "words",
    [["--days", "0"], ["--trials", "0"], ["--hours", "0"], ["--jobs", "0"], ["--showers", "none.h5"]],
)  # fmt: skip
def test_nothing_to_simulate_is_refused_in_one_line(words, capsys):
    assert main(["bench", "alarms", *words]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_the_committed_figures_are_complete_and_keep_the_budget():
    told = json.loads((ROOT / "deploy" / "figures" / "alarms.json").read_text())
    assert set(told) == set(alarms.PARTS)
    for part in ("false-pages", "spread"):
        assert told[part]["pages_at_most_95"] < told[part]["budget"]
    assert told["resampled"]["pages"] == 0
    for name, line in told["delays"]["faults"].items():
        assert "×2" in name or line["found"] == line["trials"], name
    assert all(line["same"] and line["onsets"] == 1 for line in told["handover"]["lines"])
    assert not any(line["paged"] for line in told["contamination"]["good"] if line["guards"])


def test_the_committed_page_is_that_of_the_figures():
    figures = ROOT / "deploy" / "figures"
    told = json.loads((figures / "alarms.json").read_text())
    assert (figures / "alarms.md").read_text() == alarms.page(told)
