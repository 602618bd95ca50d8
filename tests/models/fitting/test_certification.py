"""References made anew for a model that stays as it is: certified, or drawn by itself."""

import h5py
import numpy as np
import pytest
import tiny
import torch

from consumers.cli.command import main
from models.detector.geometry import Geometry, GeometryError, Layer
from models.fitting import certification
from models.fitting.certification import CertificationOptions, examiner
from models.scoring.artefact import Artefact
from models.showers import compact
from models.showers.pool import Pool
from models.showers.symmetries import Symmetry


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("reference")
    tiny.artefact().save(path / "model")
    good = tiny.showers("gamma_test", 700)
    for name, showers, attributes in [
        ("new", good[slice(0, 500)], {}),
        ("clean", tiny.showers("gamma_check", 200), {"noise_mev": 0.0}),
        ("test", good[slice(500, 700)], {}),
    ]:
        with h5py.File(path / f"{name}.h5", "w") as file:
            file["incident_energies"] = showers.e_inc[:, None]
            file["showers"] = showers.cells
            file.attrs.update(attributes)
    return path


def reference(folder, what, *words):
    out = folder / what
    model = ["--artefact", folder / "model", "--out", out]
    code = main(["reference", what, *map(str, (*words, *model))])
    return code, out


@pytest.fixture(scope="module")
def certified(folder):
    words = (folder / "new.h5", folder / "clean.h5", "--test", folder / "test.h5")
    code, out = reference(folder, "certify", *words)
    assert code == 0
    return Artefact.load(out)


@pytest.mark.slow
def test_certifying_keeps_the_model_and_changes_the_reference(certified):
    before = tiny.artefact()
    for name, value in before.flow.state_dict().items():
        assert torch.equal(value, certified.flow.state_dict()[name])
    assert certified.hash != before.hash
    assert certified.reference.showers == 700
    assert certified.reference.origin == "certified"
    assert certified.reference.n_cells == before.reference.n_cells


def test_the_card_says_what_a_model_was_certified_with(certified):
    assert certified.card["certified_with"] == ["new.h5", "clean.h5"]
    assert certified.card["showers"]["certify"] == 700
    assert certified.card["showers"]["train"] == tiny.artefact().card["showers"]["train"]
    assert certified.card["held_out"]["showers"] == 200


def test_mirrors_and_fresh_noise_are_in_the_reference(certified):
    # 500 showers in four images, 200 clean ones in four images and two draws.
    assert certified.reference.counts[:, 0].sum() == 500 * 4 + 200 * 8


@pytest.mark.slow
def test_a_model_draws_a_reference_at_the_energies_that_are_seen(folder):
    words = ("--conditions", folder / "new.h5", "--showers", 600, "--condition-cells", 1)
    code, out = reference(folder, "generate", *words)
    assert code == 0
    made = Artefact.load(out)
    assert made.reference.origin == "generated"
    assert (made.reference.showers, made.reference.n_cells) == (600, 1)
    assert made.card["generated"]["conditions_of"] == 500
    assert "certified" not in made.card
    p = made.scorer("cpu").score(tiny.showers("gamma_test", 500)).p_combined
    assert np.mean(p <= 0.5) == pytest.approx(0.5, abs=0.2)


def test_too_few_showers_for_a_reference_are_one_line(folder, capsys):
    code, _ = reference(folder, "generate", "--conditions", folder / "new.h5", "--showers", 20)
    assert code == 2
    assert "give more showers or fewer cells" in capsys.readouterr().err


def rings(angles, name="rings", front=0.0):
    edges = (0.0, 5.0, 10.0, 30.0)
    return Layer(name, (angles, 3), (1.0, 1.0), (front, front + 1), edges)


LAYERS = {
    "cartesian": tiny.GEOMETRY.layers,
    "odd grid": (Layer("grid", (3, 5), (4.0, 7.0), (0.0, 1.0)),),
    "polar": (rings(8, "fine"), rings(2, "halves", 1.0), rings(1, "whole", 2.0)),
    "both": (rings(6), Layer("grid", (2, 3), (4.0, 7.0), (1.0, 2.0))),
}


@pytest.mark.parametrize("layers", LAYERS.values(), ids=LAYERS)
def test_mirrored_centres_are_the_centres_of_the_permuted_cells(layers):
    geometry = Geometry("mirrored", layers, noise_mev=1.0)
    signs = ([1, 1, 1], [-1, 1, 1], [1, -1, 1], [-1, -1, 1])
    for image, sign in zip(Symmetry(("x", "y")).images(geometry), signs, strict=True):
        assert np.allclose(geometry.centres[image.cells], geometry.centres * sign)
        assert np.array_equal(np.sort(image.cells), np.arange(geometry.n_cells))


def test_mirrors_leave_every_cell_in_its_ring():
    # The centre of a full ring is the axis: its cells are told apart by their place alone.
    geometry = Geometry("rings", (rings(4), rings(1, "whole", 1.0)), noise_mev=1.0)
    ring = np.arange(geometry.n_cells) % 3
    for image in Symmetry(("x", "y")).images(geometry):
        assert np.array_equal(ring[image.cells], ring)


def test_angles_without_a_mirror_image_are_refused_in_one_line():
    geometry = Geometry("five", (rings(5),), noise_mev=1.0)
    (_, y) = Symmetry(("y",)).images(geometry)
    assert np.allclose(geometry.centres[y.cells], geometry.centres * [1, -1, 1])
    with pytest.raises(GeometryError, match="'rings' has no mirror image in x: with 5") as caught:
        Symmetry(("x",)).images(geometry)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_certification_holds_few_showers_at_a_time_and_comes_to_the_same(monkeypatch):
    made, pool = tiny.artefact(), Pool(tiny.showers("gamma_certify", 300), np.ones(300, np.bool_))
    options = CertificationOptions(condition_cells=1, draws=2, symmetry=Symmetry(("x",)))
    examine = examiner(made)
    _, whole, _ = certification.certified(options, examine, made.geometry, pool)
    monkeypatch.setattr(certification, "AT_ONCE", 64)
    _, parts, _ = certification.certified(options, examine, made.geometry, pool)
    for name, array in whole.arrays().items():
        assert np.allclose(array, parts.arrays()[name], rtol=1e-6, atol=1e-6), name
    batches = certification.image_batches(pool, made.geometry, options, np.random.default_rng(1))
    assert max(showers.n for showers, _ in batches) == 64


def test_of_many_showers_some_are_kept_in_the_artefact_and_of_few_none():
    made, rng = tiny.artefact(), np.random.default_rng(1)
    few = tiny.showers("gamma_test", 700)
    assert certification.recertified(made, Pool(few), CertificationOptions(), {}).good is None
    many = Pool(few[rng.integers(700, size=4000)])
    good = certification.kept(many, made.geometry, CertificationOptions())
    assert good.n == compact.most(made.geometry.n_cells) >= compact.least(6)
    of_many_cells = CertificationOptions(condition_cells=40)
    assert certification.kept(many, made.geometry, of_many_cells) is None
    assert {row.tobytes() for row in good.cells} <= {row.tobytes() for row in few.cells}
