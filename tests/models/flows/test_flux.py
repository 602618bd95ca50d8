"""Laws that every flow of the flux family keeps."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from models.flows.flux import Flux
from models.flows.interface import Features, tuples
from models.flows.shapes import FluxConfig


def flux(v=20, layers=3, context=1, latents=3, hidden=(32,), group=None, seed=1):
    torch.manual_seed(seed)
    group = tuple(i // 3 for i in range(v)) if group is None else group
    model = Flux(FluxConfig(v, layers, context, group, latents, 8, hidden))
    with torch.no_grad():  # far from the identity, as after training
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
        model.latent_mean.normal_()
        model.latent_scale.uniform_(0.5, 2)
    return model


def features(model, n=50, seed=2):
    g = torch.Generator().manual_seed(seed)
    c = model.shape
    sizes = (c.n_cells, c.n_layers, c.n_context)
    return Features(*(torch.randn(n, size, generator=g) for size in sizes))


@pytest.mark.slow
def test_density_integrates_to_one_in_two_dimensions():
    model = flux(v=1, layers=1, latents=1, group=(0,))
    axis = torch.linspace(-25, 25, 1001)
    grid = torch.cartesian_prod(axis, axis)
    for c in (-1.0, 0.5):
        context = torch.full((len(grid), 1), c)
        with torch.no_grad():
            density = model._density(context).log_prob(grid).exp()
        assert float(density.sum() * (axis[1] - axis[0]) ** 2) == pytest.approx(1, abs=1e-3)


def test_stages_add_up_to_what_zuko_says():
    model = flux()
    f = features(model)
    with torch.no_grad():
        whole = model._density(f.conditions).log_prob(model._flat(f))
        assert torch.allclose(model.log_prob(f).sum(1), whole, atol=1e-4)


@pytest.mark.parametrize(
    ("v", "hidden"), [(60, (32,)), (60, (24, 16)), (300, (256,)), (300, (70, 200))]
)
def test_fast_evaluation_agrees_with_zuko(v, hidden):
    model = flux(v=v, hidden=hidden)
    f = features(model, 300)
    fast = model.compiled()(f)
    with torch.no_grad():
        assert torch.allclose(-fast.nll, model.log_prob(f), rtol=1e-4, atol=1e-4)
        assert torch.allclose(fast.latents, model.latent(f), atol=1e-4)


def test_fast_evaluation_goes_by_the_masks_of_the_model_in_whatever_order_its_units_are():
    """Models of earlier releases have their hidden units in another order."""
    model = flux(v=300, hidden=(256,))
    prefix, state = "flow.transform.transforms.0.hyper.", dict(model.state_dict())
    order = torch.randperm(256, generator=torch.Generator().manual_seed(1))
    for name in ("0.weight", "0.bias", "0.mask"):
        state[prefix + name] = state[prefix + name][order]
    for name in ("2.weight", "2.mask"):
        state[prefix + name] = state[prefix + name][:, order]
    model.load_state_dict(state)
    f = features(model, 300)
    fast = model.compiled()
    with torch.no_grad():
        for output in (fast(f), fast.apart(f)):
            assert torch.allclose(output.latents, model.latent(f), atol=1e-4)


def test_fast_evaluation_leaves_out_most_zeros_of_masked_layers():
    model = flux(v=504, hidden=(256,))
    fast = model.compiled()
    layers = (*fast.hidden, fast.shift, fast.log_scale)
    multiplied = sum(weight.numel() for layer in layers for _, _, weight in layer.parts)
    last, first = model.flow.transform.transforms[0].hyper[2], fast.hidden[0]
    dense = last.weight.numel() + first.width * (model.shape.width + 1)
    assert multiplied < 0.7 * dense


def test_what_fast_evaluation_has_said_stays_when_it_says_more():
    model = flux()
    fast = model.compiled()
    said = fast(features(model))
    before = [part.clone() for part in said]
    fast(features(model, seed=3))
    for part, was in zip(said, before, strict=True):
        assert torch.equal(part, was)


def test_threads_evaluate_beside_each_other():
    model = flux(v=60)
    fast = model.compiled()
    given = [features(model, 64, seed) for seed in range(4)]
    alone = [fast(f).latents for f in given]
    with ThreadPoolExecutor(4) as threads:
        for _ in range(20):
            for latents, out in zip(alone, threads.map(fast, given), strict=True):
                assert torch.equal(out.latents, latents)


def test_flow_is_invertible():
    model = flux()
    f = features(model)
    with torch.no_grad():
        transform = model.flow(f.conditions).transform
        flat = model._flat(f)
        assert torch.allclose(transform.inv(transform(flat)), flat, atol=1e-4)


def test_each_shower_is_evaluated_by_itself():
    model = flux()
    f = features(model)
    fast = model.compiled()
    whole = fast(f)
    one = fast(f.rows(slice(7, 8)))
    assert torch.allclose(whole.latents[7:8], one.latents, atol=1e-5)
    assert torch.allclose(whole.nll[7:8], one.nll, rtol=1e-5)


def test_latent_of_a_cell_depends_on_no_later_cell():
    model = flux(latents=1)
    with torch.no_grad():  # the autoencoder sees all cells: without it the order is strict
        for parameter in (*model.encoder.parameters(), *model.decoder.parameters()):
            parameter.zero_()
    f = features(model, 1)
    changed = f._replace(cells=f.cells.clone())
    changed.cells[:, 10] += 3
    moved = (model.latent(changed) - model.latent(f)).abs()[0, :20] > 1e-6
    group = np.array(model.shape.group)
    assert moved[10]
    assert not moved[(group < group[10]) | ((group == group[10]) & (np.arange(20) != 10))].any()
    assert moved[group > group[10]].any()


def test_samples_have_standard_latents():
    model = flux()
    context = torch.linspace(-1, 1, 4000)[:, None]
    f = model.sample(context, torch.Generator().manual_seed(3))
    assert f.cells.shape == (4000, 20)
    again = model.sample(context, torch.Generator().manual_seed(3))
    assert torch.equal(f.cells, again.cells)
    # What the encoder makes of a generated shower is not exactly the code it was drawn with, so
    # only the coordinates before it are exactly standard.
    z = model.latent(f)[:, 20:]
    assert torch.allclose(z.mean(0), torch.zeros(3), atol=0.1)
    assert torch.allclose(z.std(0), torch.ones(3), atol=0.1)


def test_config_rebuilds_the_model():
    model = flux()
    again = Flux(FluxConfig(**tuples(model.config)))
    again.load_state_dict(model.state_dict())
    f = features(model)
    assert torch.equal(again.log_prob(f), model.log_prob(f))


def test_places_of_a_detector_of_very_many_cells_are_worked_out_once():
    shape = FluxConfig(40_000, 3, 1, tuple(range(40_000)), 2, 2, (4,), tuple(range(2, 40_002)))
    assert shape.order is shape.order  # asked for 120,000 times, each would be a tuple of 40,000
    assert shape.hurdles is shape.hurdles


@pytest.mark.parametrize("layers", [1, 3])
def test_a_configuration_knows_its_weights_before_they_are_made(layers):
    model = flux(layers=layers, hidden=(32, 16))
    weights = [w for name, w in model.named_parameters() if name.endswith(".weight")]
    assert model.shape.n_weights == sum(w.numel() for w in weights)


@pytest.mark.parametrize(
    "change",
    [
        {"latents": 0},
        {"group": (0, 2)},
        {"group": (0,)},
        {"hidden": ()},
        {"n_cells": 0},
        {"hidden": (10**9,)},
        {"hidden": (8,) * 65},
        {"n_layers": 10**12},
        {"n_context": 1.0},
        {"group": (10**12, 0)},
    ],
)
def test_shapes_that_cannot_be_are_refused(change):
    fields = {"n_cells": 2, "n_layers": 1, "n_context": 1, "group": (0, 1)}
    with pytest.raises(ValueError, match=r"counts|groups|wider"):
        FluxConfig(**(fields | change))
