"""The benchmark of the alarms runs, keeps the figures of parts that it does not run, and adds up."""

from __future__ import annotations

import json

import numpy as np
import pytest
from streams import GEOMETRY

from consumers import bench_alarms
from consumers.bench_alarms import Case, Trial
from consumers.command import main
from consumers.settings import ROOT
from models.scored import Scored
from models.showers import Showers
from monitor import simulation
from monitor.resampling import Pool, accepted, pool, reference_of, window


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


def test_a_fault_that_is_not_always_found_has_no_90_percent_delay():
    trials = [Trial(page=float(d), kind="hot") for d in range(1, 9)]
    trials += [Trial(), Trial()]
    told = bench_alarms._told(trials, Case("x", "hot", kinds=("hot",)))
    assert told["found"] == 8
    assert told["page_median_s"] == 6
    assert told["page_90_s"] is None
    assert told["kind_right"] == 0.8
    assert told["kinds"] == {"hot": 8, "not found": 2}


def test_parts_that_are_not_run_keep_their_figures(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(simulation, "DAY", 1800.0)
    out = tmp_path / "alarms.json"
    out.write_text(json.dumps({"delays": {"kept": True}}))
    words = [
        "bench",
        "alarms",
        "--only",
        "latents",
        "false-pages",
        "--days",
        "1",
        "--out",
        str(out),
    ]
    assert main(words) == 0
    told = json.loads(out.read_text())
    assert set(told) == {"delays", "latents", "false-pages"}
    assert told["false-pages"]["pages"] == 0
    assert told["false-pages"]["budget"] == pytest.approx(1 / 30)
    assert "false pages" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["--days", "0"], ["--trials", "0"], ["--hours", "0"]])
def test_nothing_to_simulate_is_refused_in_one_line(words, capsys):
    assert main(["bench", "alarms", *words]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_the_committed_figures_are_complete_and_keep_the_budget():
    told = json.loads((ROOT / "deploy" / "figures" / "alarms.json").read_text())
    assert set(told) == set(bench_alarms.PARTS)
    for part in ("false-pages", "spread"):
        assert told[part]["pages_at_most_95"] < told[part]["budget"]
    assert told["resampled"]["pages"] == 0
    for name, line in told["delays"].items():
        assert "×2" in name or line["found"] == line["trials"], name
