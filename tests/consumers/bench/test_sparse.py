"""Sparse cells: read-outs differ in what they leave out, units add up, tables say what was found."""

import json

import numpy as np
import pytest

from consumers.app.settings import ROOT
from consumers.bench import sparse, sparse_sets, sparse_sheets

FIGURES = ROOT / "deploy" / "figures"


@pytest.fixture
def least(monkeypatch):
    for name, n in {"LEARNT": 60, "CERTIFIED": 60, "GOOD": 60, "STRUCK": 30}.items():
        monkeypatch.setattr(sparse_sets, name, n)


@pytest.fixture
def few(monkeypatch):
    for name, n in {"LEARNT": 1700, "CERTIFIED": 700, "GOOD": 900, "STRUCK": 200}.items():
        monkeypatch.setattr(sparse_sets, name, n)
    monkeypatch.setattr(sparse, "LESSONS", 1)


def test_what_is_suppressed_is_zero_and_all_else_is_as_it_was_read(least):
    sets = sparse_sets.sets()
    noisy, least = sets["crystals, noise"].geometry, sets["crystals, 3σ"].geometry
    showers = sparse_sets._crystals(noisy, np.random.default_rng(3)).good
    read = [
        sparse_sets.read_out(showers, g, np.random.default_rng(1)).cells for g in (noisy, least)
    ]
    above = read[0] >= 3 * noisy.noise_mev
    assert (read[1] == np.where(above, read[0], 0)).all()
    assert 0.3 < (read[1] == 0).mean() < 0.95


def test_faults_are_read_out_as_good_showers_are(least):
    geometry = sparse_sets.sets()["crystals, 3σ"].geometry
    rng = np.random.default_rng(1)
    showers = sparse_sets._crystals(geometry, rng)
    good = sparse_sets.read_out(showers.good, geometry, rng)
    found = dict(sparse_sets.faulty(showers, geometry, good, rng))
    assert list(found) == list(sparse_sheets.FAULTS[:5])
    for some in found.values():
        assert some.n == 30
        lit = some.cells[some.cells != 0]
        assert (lit >= geometry.zero_suppression_mev).all()
        assert np.allclose(lit % geometry.least_count_mev, 0)


def test_the_silicon_is_that_of_the_challenge():
    wanted = sparse_sets.sets()["silicon, 6,480 cells"].geometry
    assert (wanted.n_cells, wanted.n_layers, wanted.noise_mev) == (6480, 45, 0.0)


@pytest.mark.slow
def test_units_add_up_over_calls_and_the_fewest_come_first(tmp_path, few, monkeypatch, capsys):
    from consumers.cli.command import main

    monkeypatch.setattr(sparse, "HOUR", 40)
    out = tmp_path / "s.json"
    words = ["bench", "sparse", "--only", "crystals, 3σ", "crystals, noise", "--out", str(out)]
    assert main([*words, "--units", "1"]) == 0
    assert main([*words, "--units", "1"]) == 0
    done = json.loads(out.read_text())
    assert [unit["part"] for unit in done] == ["crystals, 3σ", "crystals, noise"]
    for unit in done:
        assert unit["hour"]["seconds"] == 40
        assert set(unit["taught"]) == {"second photon 10 mm", "second photon 20 mm"}
        assert unit["power"]["dead core cell"]["auc"] > 0.8
    assert done[0]["zero"] > 0.4 > done[1]["zero"]
    text = out.with_suffix(".md").read_text()
    assert text.index("| crystals, noise") < text.index("| crystals, 3σ")


def unit(part, **more):
    found = {"auc": 0.9, "k": 50, "n": 100}
    return {
        "part": part, "cpu_s": 60.0, "zero": 0.95, "train_s": 40.0, "score_us": 90, "peak_mib": 900,
        "misfits": [], "power": {"dead core cell": found, "second photon 10 mm": found},
        "taught": {"second photon 10 mm": {"auc": 0.95, "k": 70, "n": 100}},
        "fit": {
            "good": 1000, "unknown": 0, "beyond": {"0.1": 100, "0.01": 12}, "square": 1.0,
            "largest_square": 1.1, "held_out_above": {"flow": 0.2},
        },
        "hour": {
            "seconds": 3600, "showers_per_s": 400.0, "regions": 8, "pages": 0, "warnings": 0,
            "said": [], "dead_after_s": 2,
        },
        **more,
    }  # fmt: skip


def test_counts_of_units_of_a_set_are_added():
    text = sparse_sheets.page([unit("a"), unit("a"), unit("b", taught={})])
    assert "| a | 95% | 0.900, 0.500 (0.429–0.571) |" in text
    assert (
        "| a: second photon 10 mm | 0.900, 0.500 (0.429–0.571) | 0.950, 0.700 (0.631–0.763) |"
        in text
    )
    assert "b: second photon 10 mm" not in text
    assert "| a | 2 | 2,880,000 | 0 | 0 | 2 s, 2 s |" in text


def test_a_dead_cell_that_is_not_found_is_said():
    hour = {**unit("a")["hour"], "dead_after_s": None}
    assert "| never |" in sparse_sheets.page([unit("a", hour=hour, misfits=["latents: off"])])


def test_the_committed_page_is_that_of_the_committed_figures():
    units = json.loads((FIGURES / "sparse.json").read_text(encoding="utf-8"))
    order = list(sparse_sets.sets())
    units = sorted(units, key=lambda unit: order.index(unit["part"]))
    assert (FIGURES / "sparse.md").read_text(encoding="utf-8") == sparse_sheets.page(units)
