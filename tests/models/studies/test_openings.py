"""Openings: cuts are of all good showers, bins of strange ones, and a classifier learns pions."""

import numpy as np
import pytest
import tiny

from consumers.bench import openings as bench
from models.fitting.lessons import ClassifierOptions
from models.showers import shipped
from models.studies import openings


def test_each_bin_is_cut_where_one_good_shower_in_a_hundred_is():
    good, strange = np.arange(1000) / 1000, np.array([0.001, 0.5, 0.009, 0.02])
    found = openings.opened(good, strange, np.array([10.0, 10, 60, 60]), (0, 50, np.inf))
    assert [(rate.k, rate.n) for rate in found.bins] == [(1, 2), (1, 2)]
    assert (found.whole.k, found.whole.n) == (2, 4)


def test_a_bin_that_holds_nothing_is_no_row():
    good = {name: np.arange(200) / 200 for name in ("flux", "caloflow", "classifier")}
    strange = {name: values[:50] for name, values in good.items()}
    found = openings.by_score(good, strange, np.full(50, 30.0), openings.OPENINGS_MM)
    scores = {name: bench.asdict(one) for name, one in found.items()}
    part = {"edges": [0, 25, 35, 50, 100, 200, None], "scores": scores}
    sheet = bench._sheet(part, "made, by distance", "mm", 1)
    assert [row[0] for row in sheet.rows] == ["25–35 mm", "all", "all: AUC"]


@pytest.mark.slow
def test_a_classifier_is_taught_pions_and_both_models_are_asked(monkeypatch):
    for name, n in {"LEARNT": 400, "HELD_OUT": 100, "DONORS": 300, "MADE": 120}.items():
        monkeypatch.setattr(bench, name, n)
    lesson = ClassifierOptions(("second:mm=20,x=0.5",), epochs=4)
    monkeypatch.setattr(bench, "LESSON", lesson)
    good, pi0 = tiny.showers("gamma_test", 200), tiny.showers("pi0", 100)
    told = bench.told(shipped.PB_LAR, (tiny.artefact(), tiny.artefact()), good, pi0)
    assert told["learnt"] == 400
    scores = told["Geant4, by energy"]["scores"]
    assert sum(one["n"] for one in scores["classifier"]["bins"]) == 100
    assert scores["classifier"]["auc"] > 0.7
    assert len(list(bench.sheets(told))) == 3
