"""The laws that a caloflow model keeps, whatever its weights."""

import math
from dataclasses import replace

import pytest
import torch

from models.detector import files as geometries
from models.flows.caloflow import CaloFlow
from models.flows.interface import Features, tuples
from models.flows.shapes import PUBLISHED, CaloFlowConfig, configure
from models.scoring.artefact import Artefact
from models.showers import shipped
from models.showers.readers import read

CONFIGS = {
    "affine": CaloFlowConfig((4, 6, 2), 2, cell_hidden=(16,), groups=2),
    "spline": CaloFlowConfig((4, 6, 2), 2, cell_hidden=(16,), univariate="spline", groups=0),
    "one layer": CaloFlowConfig((5,), 1, cell_hidden=(16,)),
}


@pytest.fixture(params=CONFIGS.values(), ids=CONFIGS)
def model(request):
    torch.manual_seed(3)
    made = CaloFlow(request.param)
    with torch.no_grad():  # far from the identity that it begins with
        for parameter in made.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return made


def features(model, n=40, seed=1):
    generator = torch.Generator().manual_seed(seed)
    v, l, c = model.shape.n_cells, len(model.shape.layers), model.shape.n_context
    return Features(*(torch.randn(n, width, generator=generator) for width in (v, l, c)))


def test_the_inverse_takes_latents_back_to_cells(model):
    f = features(model, 20)
    z = model.latent(f).double()
    given = torch.cat([f.conditions, f.layers[:, 1:]], 1)
    cells = model.cells(given).transform.inv(z[:, : model.shape.n_cells].float())
    torch.testing.assert_close(cells, f.cells, rtol=1e-2, atol=1e-2)


@pytest.mark.slow
def test_a_shower_scores_the_same_alone_and_in_a_batch(model):
    f = features(model)
    alone = torch.cat([model.log_prob(f.rows(slice(i, i + 1))) for i in range(40)])
    torch.testing.assert_close(model.log_prob(f), alone, rtol=1e-4, atol=1e-4)


def test_config_and_weights_give_the_model_back(model):
    again = CaloFlow(CaloFlowConfig(**tuples(model.config)))
    again.load_state_dict(model.state_dict())
    f = features(model)
    torch.testing.assert_close(model.log_prob(f), again.log_prob(f), rtol=0, atol=0)


def test_the_evaluation_agrees_with_log_prob_and_latent(model):
    f = features(model)
    evidence = model.compiled()(f)
    torch.testing.assert_close(-evidence.nll, model.log_prob(f))
    torch.testing.assert_close(evidence.latents, model.latent(f))
    assert evidence.residuals is None


def test_log_prob_is_that_of_the_jacobian(model):
    f = features(model, 1)

    def latents(cells):
        return model.latent(Features(cells[None], f.layers, f.conditions))[0, : len(cells)]

    jacobian = torch.autograd.functional.jacobian(latents, f.cells[0])
    z = latents(f.cells[0])
    expected = -0.5 * z.square().sum() - 0.5 * len(z) * math.log(2 * math.pi)
    expected += torch.linalg.slogdet(jacobian).logabsdet
    assert float(model.log_prob(f)[0, -1].detach()) == pytest.approx(
        float(expected.detach()), rel=1e-4, abs=1e-3
    )


@pytest.mark.slow
def test_the_density_of_two_cells_is_normalised():
    torch.manual_seed(2)
    model = CaloFlow(CaloFlowConfig((2,), 1, cell_hidden=(16,), univariate="spline", groups=0))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.25 * torch.randn_like(parameter))
    axis = torch.linspace(-12, 12, 481)
    x, y = torch.meshgrid(axis, axis, indexing="ij")
    cells = torch.stack([x.ravel(), y.ravel()], 1)
    n = len(cells)
    f = Features(cells, torch.zeros(n, 1), torch.full((n, 1), 0.3))
    with torch.no_grad():
        density = model.log_prob(f).sum(1).exp().double()
    assert float(density.sum() * (axis[1] - axis[0]) ** 2) == pytest.approx(1, abs=1e-3)


@pytest.mark.slow
def test_samples_are_normal_under_the_model(model):
    context = torch.zeros(4000, model.shape.n_context)
    f = model.sample(context, torch.Generator().manual_seed(4))
    z = model.latent(f).detach()
    assert bool(torch.isfinite(z).all())
    assert float(z.square().mean()) == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("groups", [0, 2])
def test_orders_stay_within_layers_and_every_second_one_is_reversed(groups):
    config = CaloFlowConfig((4, 6, 2), 1, cell_blocks=4, groups=groups)
    for order in config.orders():
        first, second, third = order[:4], order[4:10], order[10:]
        assert max(first) < min(second) <= max(second) < min(third)
        assert sorted(set(order)) == list(range(max(order) + 1))
    orders = config.orders()
    span = (min(orders[0][4:10]) + max(orders[0][4:10]),) * 6
    assert tuple(a + b for a, b in zip(orders[0][4:10], orders[1][4:10], strict=True)) == span
    assert orders[0] != orders[2]


def test_no_cell_sees_itself_or_a_later_one():
    torch.manual_seed(1)
    config = CaloFlowConfig((4, 6, 2), 1, cell_blocks=1, cell_hidden=(16,), groups=2)
    model = CaloFlow(config)
    f = features(model, 1)
    jacobian = torch.autograd.functional.jacobian(
        lambda c: model.latent(Features(c[None], f.layers, f.conditions))[0, :12], f.cells[0]
    )
    (order,) = (torch.tensor(o) for o in config.orders())
    forbidden = (order[:, None] <= order[None, :]) & ~torch.eye(12, dtype=torch.bool)
    assert not jacobian[forbidden].any()


def test_the_published_configuration_has_the_size_of_the_paper():
    geometry = geometries.load(geometries.SHIPPED / "pb-lar-504.json")
    config = configure(geometry, 1, {"preset": "published"})
    one = CaloFlow(replace(config, cell_blocks=1))
    parameters = sum(p.numel() for p in one.cells.parameters())
    assert parameters * PUBLISHED["cell_blocks"] == pytest.approx(37.8e6, rel=0.03)


@pytest.mark.parametrize(
    "options",
    [
        {"preset": "best"},
        {"univariate": "cubic"},
        {"cell_blocks": 0},
        {"cell_hidden": ()},
        {"cell_hidden": (10**9,)},
        {"layer_hidden": (8,) * 65},
        {"layer_blocks": 10**12},
        {"bins": 10**9},
        {"bins": 8.0},
        {"bound": 1e300},
        {"seed": 1 << 70},
    ],
)
def test_a_configuration_that_cannot_be_is_refused(options):
    geometry = geometries.load(geometries.SHIPPED / "pb-lar-504.json")
    with pytest.raises(ValueError, match=r"must be|must lie|wider"):
        configure(geometry, 1, options)


def test_more_cells_than_a_geometry_can_have_are_refused():
    with pytest.raises(ValueError, match="cells must be at most"):
        CaloFlowConfig((10**12,), 1)


def test_a_configuration_knows_its_weights_before_they_are_made(model):
    weights = [w for name, w in model.named_parameters() if name.endswith(".weight")]
    assert model.shape.n_weights == sum(w.numel() for w in weights)


def test_the_shipped_model_is_normal_on_photons_it_never_saw_and_finds_muons():
    artefact = Artefact.load(geometries.SHIPPED.parent / "artefacts" / "pb-lar-caloflow")
    shown = shipped.PB_LAR
    scorer = artefact.scorer("cpu")
    good, mu = (
        scorer.score(read(shown / f"{name}.h5", artefact.geometry)[slice(0, 400)])
        for name in ("gamma_test", "mu")
    )
    assert float((good.latents**2).mean()) == pytest.approx(1, abs=0.05)
    assert good.p_combined.mean() == pytest.approx(0.5, abs=0.06)
    assert (mu.p_combined < 1e-2).mean() > 0.98
