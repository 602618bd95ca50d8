"""Examiner: one program on whatever device the showers are, and no tensor meets one of another."""

from dataclasses import replace

import numpy as np
import pretended
import pytest
import tiny
import torch

from models.fitting import lessons
from models.fitting.recipe import new_flow
from models.fitting.training import Session, _Trainer
from models.flows import standards
from models.flows.interface import FlowOutput
from models.scoring.classifier import Classifier, ClassifierConfig
from models.scoring.examiner import Examiner
from models.showers.pool import Pool
from models.simulation import fault_form

FLOWS = {
    "flux": {"hidden": (32,), "coder_hidden": 16, "latents": 4},
    "caloflow": {"layer_hidden": (16,), "cell_blocks": 1, "cell_hidden": (32,)},
}
N = 64


@pytest.fixture(scope="module")
def good():
    return tiny.showers(n=300)


@pytest.fixture(params=FLOWS)
def parts(request, good):
    """A model that nothing has trained: what it is made of, with a classifier."""
    feature_map = standards.fit(good, tiny.GEOMETRY)
    recipe = replace(tiny.RECIPE, family=request.param, model=FLOWS[request.param])
    flow = new_flow(recipe, good, tiny.GEOMETRY, feature_map.sparse)
    cells, layers = tiny.GEOMETRY.n_cells, tiny.GEOMETRY.n_layers
    return feature_map, flow, Classifier(ClassifierConfig(cells, layers, 1, (8,)))


@pytest.fixture
def seen(parts, good):
    """A pretended card, what examines on it, and features that are not there yet."""
    feature_map, flow, classifier = parts
    with pretended.card(flow, classifier) as card:
        examine = Examiner(feature_map, flow, tiny.GEOMETRY, card, classifier)
        yield card, examine, feature_map(good[slice(0, N)])[0]


@pytest.mark.slow
def test_scoring_never_mixes_devices(seen, good):
    card, examine, features = seen
    there = features.to(card)
    lit = examine.raw_scores.lit(good.cells[:N], np.full(N, 0.5))
    raw = examine._raw(there, examine.evaluate(there), lit)
    hidden = torch.zeros(N, tiny.GEOMETRY.n_cells, dtype=torch.bool, device=card)
    best, expected = examine._expected(there, hidden)
    masked = examine._raw(there._replace(cells=best), expected, lit)
    assert {raw.device.type, masked.device.type, best.device.type} == {"cuda"}
    assert raw.shape == masked.shape == (N, len(examine.score_names))


@pytest.mark.slow
def test_training_never_mixes_devices(parts, good):
    feature_map, flow, _ = parts
    with pretended.card(flow) as card:
        pool = Pool(good)
        trainer = _Trainer(
            flow, feature_map, tiny.GEOMETRY, pool, tiny.RECIPE.options, Session(card)
        )
        features = trainer.batch(pool, np.arange(N), np.random.default_rng(1))
        for phase in flow.phases():
            phase.begin(features)
            weights = list(phase.parameters)
            loss = phase.loss(features)
            assert loss.device.type == "cuda"
            for weight in weights:  # torch has no gradients of what is not there
                weight.grad = torch.zeros_like(weight)
            torch.nn.utils.clip_grad_norm_(weights, 50.0)
            torch.optim.AdamW(weights).step()


@pytest.mark.slow
def test_a_classifier_of_a_frozen_model_is_taught_without_mixing_devices(parts, good):
    feature_map, flow, classifier = parts
    fault = fault_form.parse("hot:cells=353,x=100,share=1")
    with pretended.card(flow, classifier) as card:
        examine = Examiner(feature_map, flow, tiny.GEOMETRY, card)
        teacher = lessons.Teacher(tiny.GEOMETRY, examine.view, (fault,), ())
        lesson = teacher.lesson(Pool(good), np.random.default_rng(2))
        order = torch.from_numpy(np.random.default_rng(3).permutation(2 * good.n))
        loss = lessons._loss(classifier, lesson.batch(order[:N]))
    assert loss.device.type == "cuda"


@pytest.mark.slow
def test_what_mixes_devices_fails_on_a_pretended_card(seen):
    _, examine, features = seen
    with pytest.raises(Exception, match="device"):
        examine.evaluate(features)


@pytest.mark.parametrize("n", [1, 31, 256, 700])
def test_chunks_of_a_card_are_always_of_one_size(n):
    """The path of a product hangs on how many showers there are: else bits would hang on batches."""
    from models.scoring.examiner import ROWS, _chunks

    sizes = {len(np.arange(n)[c.rows]) for c in _chunks(n, "cuda")}
    assert sizes == {ROWS["cuda"]}
    assert sum(chunk.n for chunk in _chunks(n, "cuda")) == n


def test_masked_latents_are_those_that_are_expected(good):
    output = FlowOutput(torch.zeros(2, 1), torch.ones(2, 3), None)
    examine = object.__new__(Examiner)
    examine.evaluate = lambda _: output
    features = standards.fit(good, tiny.GEOMETRY)(good[slice(0, 2)])[0]
    features = features._replace(cells=torch.zeros(2, 2), sparse=None)
    hidden = torch.tensor([[True, False], [False, False]])
    _, expected = examine._expected(features, hidden)
    assert expected.latents.tolist() == [[0, 1, 1], [1, 1, 1]]
