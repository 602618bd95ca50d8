"""The fast evaluation of cells that may be unlit says what the flow itself says."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import tiny
import torch

from models.fitting.recipe import new_flow
from models.flows import standards
from models.flows.flux import Flux
from models.flows.interface import Features, Sparse
from models.flows.shapes import FluxConfig
from models.scoring.examiner import Examiner

ALL = tuple(range(62))
SOME = tuple(i for i in ALL if i % 7)


def flux(sparse=ALL, hidden=(32,), seed=1):
    torch.manual_seed(seed)
    group = tuple((7 * i) % 20 for i in range(60))
    model = Flux(FluxConfig(60, 3, 1, group, 4, 8, hidden, sparse))
    with torch.no_grad():  # far from the start, as after training
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
        model.latent_mean.normal_()
        model.latent_scale.uniform_(0.5, 2)
    return model


def features(model, n=64, seed=2, floor=-0.5):
    g = torch.Generator().manual_seed(seed)
    c = model.shape
    cells, layers, conditions = (
        torch.randn(n, size, generator=g) for size in (c.n_cells, c.n_layers, c.n_context)
    )
    seen = torch.cat([layers[:, 1:], cells], 1)
    floors, draws = torch.full_like(seen, -50.0), torch.ones_like(seen)
    at = list(c.sparse)
    floors[:, at] = floor
    own = torch.rand(seen.shape, generator=g).clamp(1e-6, 1 - 1e-6)
    draws[:, at] = torch.where(seen > floor, 1.0, own)[:, at]
    seen = torch.maximum(seen, floors)
    layers = torch.cat([layers[:, :1], seen[:, :2]], 1)
    return Features(seen[:, 2:], layers, conditions, Sparse(floors, draws))


def exact(model, f):
    """Return log p and latents of the flow itself, in double precision: in single it is less exact."""
    model.double()
    sparse = Sparse(*(part.double() for part in f.sparse))
    f = Features(*(part.double() for part in f[:3]), sparse)
    with torch.no_grad():
        return model.log_prob(f), model.latent(f)


@pytest.mark.parametrize("sparse", [ALL, SOME, (0, 5), (30,)])
@pytest.mark.parametrize("hidden", [(32,), (24, 16), (150,)])
def test_it_agrees_with_the_hurdle(sparse, hidden):
    model = flux(sparse, hidden)
    f = features(model)
    fast = model.compiled()(f)
    log_p, latent = exact(model, f)
    assert torch.allclose(-fast.nll.double(), log_p, rtol=1e-5, atol=1e-4)
    assert torch.allclose(fast.latents.double(), latent, rtol=5e-4, atol=5e-4)


@pytest.mark.parametrize("floor", [-7.0, -3.0, 2.0])
def test_it_agrees_where_nearly_all_are_lit_and_where_nearly_none_is(floor):
    model = flux()
    f = features(model, floor=floor)
    fast = model.compiled()(f)
    assert torch.allclose(fast.latents.double(), exact(model, f)[1], rtol=5e-4, atol=5e-4)


def test_features_that_do_not_say_what_is_unlit_are_refused():
    model = flux()
    with pytest.raises(ValueError, match="unlit"):
        model.compiled()(features(model)._replace(sparse=None))


def test_what_it_has_said_stays_when_it_says_more():
    model = flux(SOME)
    fast = model.compiled()
    said = fast(features(model))
    before = [part.clone() for part in said]
    fast(features(model, seed=3))
    for part, was in zip(said, before, strict=True):
        assert torch.equal(part, was)


def test_threads_evaluate_beside_each_other():
    model = flux(SOME)
    fast = model.compiled()
    given = [features(model, 64, seed) for seed in range(4)]
    alone = [fast(f).latents for f in given]
    with ThreadPoolExecutor(4) as threads:
        for _ in range(10):
            for latents, out in zip(alone, threads.map(fast, given), strict=True):
                assert torch.equal(out.latents, latents)


def test_it_takes_no_more_memory_the_more_often_it_is_asked():
    model = flux(SOME)
    fast = model.compiled()

    def sheets():
        desk, _ = fast._rooms.of[64]
        return {rows: len(one._free) for rows, one in desk._of.items()}

    fast(features(model))
    once = sheets()
    fast(features(model, seed=3))
    assert sheets() == once


def test_a_shower_is_seen_the_same_to_the_bit_in_any_batch():
    good = tiny.showers(n=300)
    cells = np.where(good.cells < np.quantile(good.cells, 0.6), 0, good.cells)
    good = replace(good, cells=cells.astype(np.float32))
    feature_map = standards.fit(good, tiny.GEOMETRY)
    assert feature_map.sparse
    recipe = replace(tiny.RECIPE, model={"hidden": (32,), "coder_hidden": 16, "latents": 4})
    flow = new_flow(recipe, good, tiny.GEOMETRY, feature_map.sparse)
    examine = Examiner(feature_map, flow, tiny.GEOMETRY, torch.device("cpu"))
    whole = examine(good)
    for rows in (slice(5, 6), slice(40, 73), slice(17, 280)):
        part = examine(good[rows])
        assert np.array_equal(part.latents, whole.latents[rows])
        assert np.array_equal(part.raw, whole.raw[rows])
