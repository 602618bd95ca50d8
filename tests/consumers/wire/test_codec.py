"""Laws of the codec: what is encoded decodes, and nothing else does."""

import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from blocks import GEOMETRY, START_NS, block
from hostile import Payload, corpus, mutated
from hypothesis import given, settings
from hypothesis import strategies as st
from payloads import N, good, habits

from consumers.wire.arrow_form import encode
from consumers.wire.block import Block, DecodeError
from consumers.wire.codec import decode
from models.showers.batch import Showers
from monitor.quality.rejection import Rejection

CORPUS = corpus()
INTEROP = Path(__file__).parent / "interop"


def same(a: Block, b: Block) -> bool:
    arrays = ("event_id", "time_ns", "run", "lumisection", "region")
    return (
        all(np.array_equal(getattr(a, name), getattr(b, name)) for name in arrays)
        and np.array_equal(a.showers.cells, b.showers.cells)
        and np.array_equal(a.showers.e_inc, b.showers.e_inc, equal_nan=True)
        and a.showers.conditions.keys() == b.showers.conditions.keys()
        and (a.producer, a.seq) == (b.producer, b.seq)
    )


@pytest.mark.slow
@settings(max_examples=25)
@given(
    st.integers(1, 40),
    st.integers(0, 2**32),
    st.sampled_from(["lz4", "zstd", None]),
    st.text(max_size=20),
)
def test_what_is_encoded_decodes_to_the_same(n, seed, compression, producer):
    original = block(n, seed, producer=producer, seq=seed)
    assert same(decode(encode(original, GEOMETRY, compression=compression), GEOMETRY), original)


def test_conditions_and_unknown_energies_survive():
    plain = block(3)
    showers = Showers(
        plain.showers.cells,
        np.array([1, np.nan, 3], np.float32),
        {"eta": np.array([0.1, 0.2, 0.3], np.float32)},
    )
    original = Block(
        showers, plain.event_id, plain.time_ns, plain.run, plain.lumisection, plain.region, "", 0
    )
    again = decode(encode(original, GEOMETRY), GEOMETRY)
    assert same(again, original)
    np.testing.assert_array_equal(again.showers.conditions["eta"], showers.conditions["eta"])


@pytest.mark.parametrize("name", good())
def test_a_good_payload_decodes(name):
    decoded = decode(good()[name], GEOMETRY)
    assert decoded.showers.cells.flags.aligned
    assert decoded.showers.cells.shape[1] == GEOMETRY.n_cells


def test_json_times_are_read_to_the_microsecond():
    text = good()["json of one shower"].replace(b"00:00:00Z", b"01:00:00.000123+01:00")
    assert decode(text, GEOMETRY).time_ns.tolist() == [START_NS + 123_000]


ELSEWHERE = {Rejection.REGION, Rejection.SKIPPED, Rejection.POISON}
"""Reasons that no bytes give: who has them decoded does."""


def test_the_hostile_corpus_is_large():
    assert len(CORPUS) >= 200
    assert {payload.reason for payload in CORPUS} == set(Rejection) - ELSEWHERE


@pytest.mark.parametrize("payload", CORPUS, ids=lambda payload: payload.name)
def test_a_hostile_payload_is_rejected_for_its_reason(payload: Payload):
    with pytest.raises(DecodeError) as caught:
        decode(payload.value, GEOMETRY)
    assert caught.value.reason == payload.reason, str(caught.value)
    assert len(caught.value.detail) < 400


@pytest.mark.slow
def test_mutated_payloads_are_decoded_or_rejected(mutations):
    rng = np.random.default_rng(20260101)
    seeds = [*good().values(), *habits().values()]
    seeds += [path.read_bytes() for path in INTEROP.iterdir()]
    outcomes = {True: 0, False: 0}
    for _ in range(mutations):
        value = mutated(rng, seeds)
        try:
            decoded = decode(value, GEOMETRY)
        except DecodeError:
            outcomes[False] += 1
        else:
            outcomes[True] += 1
            assert np.isfinite(decoded.showers.cells).all()
    # Damage to a cell's energy is often still an energy: both outcomes must have been seen.
    assert min(outcomes.values()) > mutations / 100


def test_a_claim_of_a_billion_rows_costs_no_memory():
    claims = [p for p in CORPUS if p.name.startswith(("batch: claims", "batch: a buffer"))]
    assert len(claims) > 10
    tracemalloc.start()
    before = pa.total_allocated_bytes()
    for payload in claims:
        with pytest.raises(DecodeError):
            decode(payload.value, GEOMETRY)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5e6
    assert pa.total_allocated_bytes() - before < 1e6
    assert pa.default_memory_pool().max_memory() < 300e6


def test_data_time_to_come_is_refused():
    value = encode(block(N), GEOMETRY)
    with pytest.raises(DecodeError, match="to come"):
        decode(value, GEOMETRY, latest_ns=START_NS)
    assert decode(value, GEOMETRY, latest_ns=START_NS + 10**9).showers.n == N


def test_a_record_of_a_later_schema_is_refused_in_words_whatever_its_columns():
    later = pa.schema(
        [("to come", pa.int8())], metadata={"calodqm.schema": "2", "calodqm.geometry": "g"}
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, later) as writer:
        writer.write_batch(pa.record_batch([pa.array([1], pa.int8())], schema=later))
    for value in (sink.getvalue().to_pybytes(), b'{"schema": 2, "to come": [1]}'):
        with pytest.raises(DecodeError, match="schema '2'; this software reads 1") as refused:
            decode(value, GEOMETRY)
        assert refused.value.reason is Rejection.SCHEMA
