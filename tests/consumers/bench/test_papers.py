"""The page of the seed papers: every question has its table, and the cuts are what they say."""

import json
from dataclasses import asdict

import numpy as np
import pytest
import tiny

from consumers.app.settings import ROOT
from consumers.bench.paper_sheets import page
from models.scoring.measures import rate, separation
from models.studies import openings, papers
from models.studies.evaluation import Row


def seen(seed):
    rng = np.random.default_rng(seed)
    return separation(rng.random(300), rng.random(200) ** 2)


def pions():
    rng = np.random.default_rng(7)
    good, strange = ({n: rng.random(300) ** k for n in ("flux", "caloflow", "classifier")}
                     for k in (1, 4))  # fmt: skip
    apart, edges = rng.uniform(20, 300, 300), openings.OPENINGS_MM
    found = {n: asdict(o) for n, o in openings.by_score(good, strange, apart, edges).items()}
    part = {"edges": [None if np.isinf(e) else e for e in edges], "scores": found}
    names = ("made, by distance", "made, by energy", "Geant4, by energy")
    return {"learnt": 600, "good": 300, **dict.fromkeys(names, part)}


def told():
    names = ["nll_code", "nll_cells", "reconstruction", "response"]
    scores = {name: seen(1) for name in (*names, "combined")}
    row = Row("20 mm", 200, 0, scores, (seen(2), None, seen(3)))
    family = {"edges_mev": [0.0, 5e3, 9e3, float("inf")], "scores": names, "rows": [asdict(row)]}
    three = {kind: asdict(seen(4)) for kind in ("supervised", "unsupervised", "both")}
    cut = papers.Cut(0.9, rate(180, 200), {"20 mm": rate(50, 200)})
    return {
        "good": 300,
        "seed": 1,
        "made with": {"flux": "a" * 64, "caloflow": "b" * 64},
        "flux": family,
        "caloflow": family,
        "energies": [{"name": "20 mm", "known": asdict(seen(5)), "unknown": asdict(seen(6))}],
        "lessons": [{"lesson": "pairs", "name": "20 mm", **three}],
        "pions": pions(),
        "cuts": [asdict(cut)],
        "taught": 600,
        "generated": 500,
    }


def test_every_question_of_the_papers_has_its_table():
    text = page(json.loads(json.dumps(told(), default=str)), "papers.json")
    for title in (
        "arXiv:2312.11618",
        "against decay point and mass",
        "caloflow: AUC against distance of two photons and energy",
        "flux: AUC against distance of two photons and energy",
        "Supervised, unsupervised, both",
        "arXiv:2204.08609",
        "Pions made of two photons, by distance",
        "Pions of Geant4, by energy",
        "which part sees what",
        "Quantile cuts on a reference generated",
        "One class against the supervised limit",
        "What differs",
        "Not here",
    ):
        assert title in text
    for line in text.splitlines():
        if line.startswith("| 20 mm"):
            assert "nan" not in line
    assert "| 0.9 | 0.900 (0.850–0.938) | 0.250 (0.192–0.316) |" in text


def test_figures_of_other_showers_are_not_kept(tmp_path, capsys):
    from consumers.cli.command import main

    out = tmp_path / "p.md"
    words = ["bench", "papers", "--only", "pions", "--out", str(out), "--showers", "500"]
    assert main(words) == 2
    assert "no figures to keep" in capsys.readouterr().err
    out.with_suffix(".json").write_text(json.dumps({"good": 2000, "seed": 1, "made with": {}}))
    assert main(words) == 2
    assert "what is kept is of another: good, made with" in capsys.readouterr().err


@pytest.mark.slow
def test_a_higher_quantile_keeps_more_and_rejects_less():
    good, strange = tiny.showers("gamma_test", 60), {"pi0": tiny.showers("pi0", 60)}
    cuts = papers.quantile_cuts(tiny.artefact(), good, strange, 1200, seed=1)
    kept = [cut.kept.value for cut in cuts]
    rejected = [cut.rejected["pi0"].value for cut in cuts]
    assert kept == sorted(kept)
    assert rejected == sorted(rejected, reverse=True)
    assert cuts[1].rejected["pi0"].value > 1 - cuts[1].kept.value


def test_the_committed_page_is_that_of_the_committed_figures():
    made = ROOT / "deploy" / "figures" / "papers.md"
    told = json.loads(made.with_suffix(".json").read_text(encoding="utf-8"))
    assert made.read_text(encoding="utf-8") == page(told, "papers.json")
