"""What authors of producers are told: the contract, examples, and what would happen to records."""

import io
import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from blocks import GEOMETRY
from payloads import columns, stream
from services import POOL

from consumers.app import environment
from consumers.app.detector_files import detector_of
from consumers.app.settings import ARTEFACT
from consumers.cli.command import main
from consumers.cli.examples import good
from consumers.cli.first_look import first_look
from consumers.wire.arrow_form import encode
from consumers.wire.block import DecodeError, Expected
from consumers.wire.codec import decode
from models.scoring.artefact import Artefact
from models.showers import readers
from models.showers.batch import Showers
from models.showers.pool import digitise
from monitor.quality.rejection import Rejection

REASONS = set(Rejection) - {Rejection.SKIPPED, Rejection.POISON}
"""Those that lie in a record; the others are of who reads it."""


@pytest.fixture(scope="module")
def artefact():
    return Artefact.load(ARTEFACT)


@pytest.fixture(scope="module")
def scorer(artefact):
    return artefact.scorer("cpu")


@pytest.fixture(scope="module")
def showers():
    clean = readers.read(POOL, GEOMETRY)[:256]
    return replace(clean, cells=digitise(clean.cells, GEOMETRY, np.random.default_rng(1)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("examples")
    assert main(["records", "example", "--all", str(made)]) == 0
    return made


def contract(capsys):
    assert main(["records", "schema"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.slow
def test_there_is_an_example_of_each_reason_and_it_is_refused_for_it(folder):
    detector = detector_of(environment.load({}))
    expected = Expected(regions=frozenset(detector.by_id))
    assert decode((folder / "good.arrow").read_bytes(), GEOMETRY, expected=expected).seq == 0
    assert {path.stem for path in folder.iterdir()} == {"good", *(r.value for r in REASONS)}
    for reason in REASONS:
        value = (folder / f"{reason.value}.arrow").read_bytes()
        with pytest.raises(DecodeError) as refused:
            decode(value, GEOMETRY, expected=expected)
        assert refused.value.reason is reason


def test_a_good_example_is_taken_and_looks_right(folder, capsys):
    assert main(["records", "check", str(folder / "good.arrow")]) == 0
    said = capsys.readouterr().out
    assert "taken, 64 showers" in said
    assert "looks wrong" not in said
    assert "A1 (16)" in said


def test_a_refused_record_ends_in_1_with_all_that_is_wrong(folder, capsys):
    files = [str(folder / f"{name}.arrow") for name in ("good", "value")]
    assert main(["records", "check", "--json", *files]) == 1
    taken, refused = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert taken["reason"] == ""
    assert refused["reason"] == "value"
    assert refused["faults"][0].startswith("e_inc is 0 in row 0")


def test_a_record_on_standard_input_is_checked(folder, capsys, monkeypatch):
    value = (folder / "good.arrow").read_bytes()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(value)))
    assert main(["records", "check", "-"]) == 0
    assert capsys.readouterr().out.startswith("-: taken")


@pytest.mark.parametrize("words", [[], ["x", "--topic"], ["/nowhere"]])
def test_a_wrong_use_is_said_in_one_line(words, capsys):
    assert main(["records", "check", *words]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_good_showers_are_not_doubted(artefact, scorer, showers):
    look = first_look(showers, artefact, scorer)
    assert look.doubts == ()
    assert 0.3 < look.median_p < 0.7


def test_gev_in_the_place_of_mev_is_doubted(artefact, scorer, showers):
    gev = Showers(showers.cells / np.float32(1000), showers.e_inc / np.float32(1000))
    (doubt,) = [d for d in first_look(gev, artefact, scorer).doubts if "MeV" in d]
    assert "are they in MeV?" in doubt


def test_layers_in_another_order_are_doubted(artefact, scorer, showers):
    first, second, third = (showers.cells[:, cut] for cut in GEOMETRY.slices)
    swapped = Showers(np.concatenate([third, second, first], axis=1), showers.e_inc)
    assert any("in the file's order" in d for d in first_look(swapped, artefact, scorer).doubts)


def test_showers_outside_of_what_the_model_knows_are_told_by_their_share(
    folder, artefact, scorer, showers, capsys
):
    beyond = showers.e_inc.copy()
    beyond[:192] *= 1000
    look = first_look(Showers(showers.cells, beyond), artefact, scorer)
    assert (look.outside, look.unscored) == (0.75, 0)
    (doubt,) = [d for d in look.doubts if "trained" in d]
    assert doubt.startswith("75% of the showers")
    beyond[192:] *= 1000
    assert first_look(Showers(showers.cells, beyond), artefact, scorer).median_p is None
    main(["records", "check", str(folder / "good.arrow")])
    assert "  domain       0.0% outside of what the model was trained on" in capsys.readouterr().out


def test_a_few_showers_are_shown_and_not_doubted(artefact, scorer, showers):
    few = Showers(showers.cells[:4] / np.float32(1000), showers.e_inc[:4])
    assert first_look(few, artefact, scorer).doubts == ()


def test_what_the_contract_says_is_what_is_taken(artefact, capsys):
    """The contract and the decoder are one: a record made of it is taken, any column less is not."""
    told = contract(capsys)
    names = [column["name"] for column in told["columns"] if column["needed"]]
    assert names == list(columns())
    (free,) = [column for column in told["columns"] if not column["needed"]]
    assert (free["name"], free["type"]) == ("seed", "uint32")
    types = {name: str(array.type) for name, array in columns().items()}
    words = {
        "timestamp[ns, tz=UTC]": "timestamp[ns, UTC]",
        "float": "float32",
        "fixed_size_list<item: float>[504]": "fixed_size_list<float32>[504]",
    }
    assert {c["name"]: c["type"] for c in told["columns"] if c["needed"]} == {
        name: words.get(kind, kind) for name, kind in types.items()
    }
    for name in names:
        rest = {other: array for other, array in columns().items() if other != name}
        with pytest.raises(DecodeError, match=f"no column {name}"):
            decode(stream(rest), GEOMETRY)
    metadata = {key["key"]: str(told["schema"]) for key in told["metadata"]}
    metadata |= {"calodqm.geometry": told["geometry"]["name"], "calodqm.seq": "0"}
    for key in told["metadata"]:
        less = {name: text for name, text in metadata.items() if name != key["key"]}
        value = stream(columns(), less)
        if key["needed"]:
            with pytest.raises(DecodeError, match=key["key"]):
                decode(value, GEOMETRY)
        else:
            assert decode(value, GEOMETRY).showers.n == 4


def test_the_limits_of_the_contract_are_those_of_the_decoder(capsys):
    limits = contract(capsys)["limits"]
    with pytest.raises(DecodeError, match="at most"):
        decode(b"x" * (limits["bytes"] + 1), GEOMETRY)
    number = pa.array([0.5] * 4, pa.float32())
    most = {f"c{i}": number for i in range(limits["further_columns"])}
    assert len(decode(stream({**columns(), **most}), GEOMETRY).showers.conditions) == len(most)
    with pytest.raises(DecodeError, match="further columns"):
        decode(stream({**columns(), **most, "one more": number}), GEOMETRY)
    for start, taken in ((limits["earliest_ns"], True), (limits["earliest_ns"] - 1, False)):
        times = pa.array([start, start, start, start + 5], pa.timestamp("ns", "UTC"))
        value = stream({**columns(), "time": times})
        if taken:
            assert decode(value, GEOMETRY).showers.n == 4
        else:
            with pytest.raises(DecodeError):
                decode(value, GEOMETRY)


def test_the_empty_stream_of_the_contract_has_the_schema_of_a_record(artefact, capsysbinary):
    assert main(["records", "schema", "--form", "arrow"]) == 0
    empty = pa.ipc.open_stream(capsysbinary.readouterr().out)
    block = good(artefact, detector_of(environment.load({})), 1_767_225_600 * 10**9, 4)
    record = pa.ipc.open_stream(encode(block, GEOMETRY))
    assert empty.schema.equals(record.schema)
    assert empty.read_all().num_rows == 0
