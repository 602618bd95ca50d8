"""bench classifier: lessons without a kind of fault, and figures by anomaly."""

import numpy as np
import pytest
import tiny

from consumers.bench import classifier
from consumers.cli import inputs
from models.simulation import fault_form
from models.studies import evaluation


@pytest.fixture(scope="module")
def wanted():
    return inputs.recipe(classifier.RECIPE)


def test_every_kind_of_fault_is_left_out_once(wanted):
    lessons = dict(classifier._lessons(wanted, wanted.classifier))
    kinds = {fault_form.parse(text).kind for text in wanted.classifier.faults}
    assert set(lessons) == {"with all", *(f"without {kind}" for kind in kinds)}
    for kind in kinds:
        rest = {
            fault_form.parse(text).kind for text in lessons[f"without {kind}"].classifier.faults
        }
        assert rest == kinds - {kind}


def test_unknown_faults_are_of_no_kind_that_is_taught(wanted):
    taught = {str(fault_form.parse(text)) for text in wanted.classifier.faults}
    assert taught.isdisjoint(str(fault_form.parse(text)) for text in classifier.UNKNOWN.values())


@pytest.mark.slow
def test_figures_are_told_by_score_and_anomaly():
    made = tiny.artefact()
    struck = {"dead core cell": fault_form.parse("dead")}
    good = tiny.showers("gamma_test", 200)
    scorings = evaluation.scorings(made.scorer(), good, {}, struck, np.random.default_rng(1))
    told = classifier._told(made, scorings, {"flow": "combined", "cell": "cell"})
    assert set(told) == {"flow", "cell"}
    figures = told["flow"]["dead core cell"]
    assert figures["auc"] > 0.7
    value, low, high = figures["tpr at 0.01"]
    assert low <= value <= high
