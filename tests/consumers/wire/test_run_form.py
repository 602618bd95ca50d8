"""What a data acquisition says of runs is one act, or one honest error."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.wire import run_form
from consumers.wire.block import DecodeError
from consumers.wire.record import Record
from monitor.quality import records
from monitor.quality.run_acts import RunAct, RunOrder


def record(value):
    return Record("calo.runs.v1", 0, 7, 0, None, value)


@pytest.mark.parametrize(
    ("value", "act"),
    [
        (b'{"what": "start", "run": 311}', RunAct(RunOrder.START, 311, 7)),
        (
            b'{"what": "start", "run": 311, "regions": [2, 0], "conditions": "1200 V"}',
            RunAct(RunOrder.START, 311, 7, (2, 0), "1200 V"),
        ),
        (b'{"what": "end", "run": 0}', RunAct(RunOrder.END, 0, 7)),
    ],
)
def test_a_run_that_begins_or_ends_is_understood_and_travels_among_the_windows(value, act):
    assert run_form.decode(record(value)) == act
    assert records.from_json(records.to_json(act)) == act


@pytest.mark.parametrize(
    "told", [("start", 3, [1], "k"), ("start", 3, None, None), ("end", 3, None, None)]
)
def test_what_a_person_says_of_a_run_is_read_as_what_a_data_acquisition_says(told):
    act = run_form.decode(record(run_form.encode(*told)))
    assert (act.order.value, act.run, act.regions and [*act.regions], act.key) == told


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"{",
        b"[]",
        b'{"what": "start"}',
        b'{"what": "pause", "run": 1}',
        b'{"what": "start", "run": "1"}',
        b'{"what": "start", "run": -1}',
        b'{"what": "start", "run": 4294967296}',
        b'{"what": "start", "run": true}',
        b'{"what": "start", "run": 1, "regions": ["A"]}',
        b'{"what": "start", "run": 1, "regions": 3}',
        b'{"what": "start", "run": 1, "colour": 3}',
        b'{"what": "end", "run": 1, "regions": [1]}',
        b'{"what": "start", "run": 1, "conditions": "' + b"x" * 101 + b'"}',
        b"x" * (run_form.MAX_BYTES + 1),
    ],
)
def test_anything_else_is_refused_with_a_reason(value):
    with pytest.raises(DecodeError):
        run_form.decode(record(value))


@given(st.binary(max_size=200))
def test_no_bytes_end_anything(value):
    with contextlib.suppress(DecodeError):
        run_form.decode(record(value))
