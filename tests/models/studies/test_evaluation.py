"""Evaluation: figures that mean what they say."""

import json
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import tiny
from scipy.stats import binom

from consumers.cli import command
from consumers.cli.reading import Files
from models.detector import files as geometries
from models.detector import geometry as geo
from models.fitting import certification
from models.scoring.scored import Scored
from models.showers import shipped
from models.showers.batch import Showers
from models.showers.symmetries import Symmetry
from models.simulation import injection
from models.studies import evaluation, power
from models.studies.evaluation import Trial

ROOT = Path(__file__).parents[3]
SHOWERS = shipped.PB_LAR
ARTEFACT = ROOT / "models" / "artefacts" / "pb-lar-flux"


def scored(rng, n, shift=0.0, cells=3):
    """Return n showers with 4 normal latents, the first of them shifted."""
    z = rng.normal(0, 1, (n, 4)).astype(np.float32)
    z[:, 0] += shift
    p = rng.random((n, 1))
    cell, none = rng.integers(cells, size=n), np.zeros((n, 1), np.int64)
    flags = (np.ones(n, bool), np.zeros(n, bool))
    return Scored(np.zeros((n, 1), np.float32), p, p[:, 0], z, cell, *flags, none)


def scoring(name, s, *, paired=True):
    n = len(s.valid)
    return Trial(name, Showers(np.zeros((n, 3), np.float32), np.ones(n, np.float32)), s, paired)


def test_windows_of_good_showers_are_called_bad_as_rarely_as_stated():
    rng = np.random.default_rng(3)
    good = scoring("good", scored(rng, 1500))
    base = power.terms(good.scored)
    standard = (base.values - base.values.mean(0)) / np.maximum(base.values.std(0), 0.02)
    thresholds = power._thresholds(power._largest(standard, base.channel, 200, 4000, rng))
    alarms = (power._largest(standard, base.channel, 200, 4000, rng) > thresholds).any(1).sum()
    assert alarms <= binom.ppf(0.999, 4000, 2 * power.FALSE_ALARMS)


@pytest.mark.slow
def test_a_shift_is_found_when_theory_says_so_and_its_place_is_named():
    rng = np.random.default_rng(4)
    base = scored(rng, 2000)
    shifted = base.latents.copy()
    shifted[:, 0] += 0.1
    strange = scoring("shift", replace(base, latents=shifted))
    (curve,) = power.curves(scoring("good", base), [strange], rng, sizes=(100, 2000, 5000))
    # 0.1 √n against a threshold near 4: at 1 in 100, 1/2 near 1600, surely at 5000.
    assert curve.power[0] < 0.1
    assert 0.3 < curve.power[1] < 0.95
    assert curve.power[2] > 0.99
    assert curve.needed == 5000
    assert curve.worst == "z of latent 0"


def test_a_sample_of_its_own_is_not_drawn_beyond_half_its_size():
    rng = np.random.default_rng(5)
    other = scoring("other", scored(rng, 300), paired=False)
    good = scoring("good", scored(rng, 1000))
    (curve,) = power.curves(good, [other], rng, sizes=(50, 100, 200))
    assert curve.sizes == (50, 100)
    assert max(curve.power) < 0.1  # they are the same: nothing to find


@pytest.mark.parametrize("name", ["pb-lar-504", "crystals-121"])
def test_the_faults_of_an_evaluation_fit_the_geometry(name):
    geometry = geometries.load(geometries.SHIPPED / f"{name}.json")
    rng = np.random.default_rng(6)
    cells = rng.gamma(1.0, 5.0, (70, geometry.n_cells)).astype(np.float32)
    good = Showers(cells, np.full(70, 5000, np.float32))
    region = np.zeros(70, np.uint16)
    for fault in evaluation.injected(geometry).values():
        struck = injection.apply(fault, good, region, geometry, rng)
        assert struck.cells.shape == cells.shape
        assert not np.array_equal(struck.cells, cells)


def test_polar_layers_get_no_second_photon():
    layer = geo.Layer("a", (8, 4), (10.0, 10.0), (0.0, 1.0), (0.0, 5.0, 10.0, 20.0, 40.0))
    crystals = geometries.load(geometries.SHIPPED / "crystals-121.json")
    names = evaluation.injected(replace(crystals, layers=(layer,)))
    assert "dead core cell" in names
    assert not any("second" in name for name in names)
    quiet = evaluation.injected(replace(crystals, noise_mev=0.0))
    assert "gain +1 %" in quiet
    assert not any(name.startswith(("noise", "hot")) for name in quiet)


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    path = tmp_path_factory.mktemp("clean") / "clean.h5"
    tiny.artefact().save(path.parent / "model")
    good = tiny.showers("gamma_test", 300)
    with h5py.File(path, "w") as file:
        file["incident_energies"] = good.e_inc[:, None]
        file["showers"] = np.maximum(good.cells, 0)
        file.attrs["noise_mev"] = 0.0
    return path


def evaluate(path, *words):
    figures = path.parent / "figures.json"
    options = [f"--artefact={path.parent / 'model'}", f"--good={path}", f"--json={figures}"]
    assert command.main(["evaluate", "--no-faults", "--no-windows", *options, *words]) == 0
    return json.loads(figures.read_text())


@pytest.mark.slow
def test_the_noise_of_a_check_is_not_that_of_the_reference(clean, monkeypatch):
    drawn = []
    batches = certification.image_batches

    def spy(*given):
        parts = list(batches(*given))
        cells = np.concatenate([showers.cells for showers, _ in parts])
        drawn.append((cells, np.concatenate([rows for _, rows in parts])))
        return iter(parts)

    monkeypatch.setattr(certification, "image_batches", spy)
    made = tiny.artefact()
    evaluate(clean, "--images", f"--seed={made.card['seed']}")
    pool = Files.open([clean], made.geometry).pool([clean])
    seed = made.card["seed"]
    options = certification.CertificationOptions(1, 1, seed, Symmetry.of_card(made.card))
    certification.certified(options, certification.examiner(made), made.geometry, pool)
    checked, certified = (cells - pool.showers.cells[of] for cells, of in (drawn[0], drawn[-1]))
    assert abs(np.corrcoef(checked[:300].ravel(), certified[:300].ravel())[0, 1]) < 0.05


def test_images_forget_their_energies_too(clean):
    known, unknown = evaluate(clean, "--images"), evaluate(clean, "--images", "--unknown-energy")
    assert known["incident energies known"] > 0
    assert unknown["calibration"] != known["calibration"]


@pytest.mark.slow
def test_plots_without_anomalies_show_the_calibration(clean):
    evaluate(clean, f"--plots={clean.parent / 'plots'}")
    drawn = {path.name for path in (clean.parent / "plots").glob("*.png")}
    assert drawn == {"calibration.png", "energies.png", "simulation.png"}


@pytest.mark.slow
def test_both_forms_of_mutability_are_compared(clean, monkeypatch, capsys):
    monkeypatch.setattr("models.studies.mutability.GENERATED", 600)
    monkeypatch.setattr("models.studies.mutability.OWN", 200)
    monkeypatch.setattr("models.studies.mutability.CELLS", 3)
    anomaly = f"--anomaly=mu={SHOWERS / 'mu.h5'}"
    told = evaluate(clean, anomaly, "--mutability=80")["mutability"]
    assert told["objects"] == 80
    assert told["rank_correlation"] > 0.8
    assert min(told["auc_refit"], told["auc_fast"]) > 0.9
    assert told["fast_us"] < told["refit_us"]
    words = [f"--artefact={clean.parent / 'model'}", f"--good={clean}", "--mutability=80"]
    assert command.main(["evaluate", "--no-faults", "--no-windows", *words]) == 2
    assert "--mutability needs an --anomaly" in capsys.readouterr().err


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    directory = tmp_path_factory.mktemp("evaluate")
    with (
        h5py.File(SHOWERS / "gamma_test.h5") as source,
        h5py.File(directory / "good.h5", "w") as few,
    ):
        for name in ("showers", "incident_energies"):
            few[name] = source[name][:400]
    code = command.main(
        [
            "evaluate",
            f"--artefact={ARTEFACT}",
            f"--good={directory / 'good.h5'}",
            f"--anomaly=mu={SHOWERS / 'mu.h5'}",
            f"--json={directory / 'figures.json'}",
            f"--plots={directory / 'plots'}",
        ]
    )
    assert code == 0
    return directory


@pytest.mark.slow
def test_the_command_writes_figures_that_tell_muons_from_photons(report):
    facts = json.loads((report / "figures.json").read_text())
    mu = next(row for row in facts["anomalies"] if row["name"] == "mu")
    assert mu["scores"]["combined"]["auc"] > 0.99
    assert mu["scores"]["combined"]["tpr"]["0.01"]["n"] == 500
    said = {row["name"]: row["one_shower"] for row in facts["anomalies"]}
    assert (said["mu"], said["gain +1 %"], said["hot core cell 5σ"]) == ("yes", "no", "no")
    dead = next(row for row in facts["windows"] if row["name"] == "dead core cell")
    assert dead["needed"] <= 100
    assert facts["calibration"][-1]["achieved"]["0.1"]["n"] == 400


@pytest.mark.slow
def test_the_command_draws_every_plot_into_a_page_that_stands_alone(report):
    page = (report / "plots" / "report.html").read_text()
    for name in ("roc", "scores", "energy", "calibration", "maps", "power"):
        assert (report / "plots" / f"{name}.png").read_bytes()[:4] == b"\x89PNG"
        assert f'alt="{name}"' in page
    assert "://" not in page  # which base64 cannot hold by chance


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--artefact=/none", "--good=/none.h5"], "/none"),
        ([f"--artefact={ARTEFACT}", "--good=/none.h5"], "No such file"),
        (
            [f"--artefact={ARTEFACT}", f"--good={SHOWERS / 'mu.h5'}", "--anomaly=mu"],
            "NAME=FILE",
        ),
    ],
)
def test_wrong_use_ends_with_one_line(words, says, capsys):
    assert command.main(["evaluate", *words]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
