"""A fault as people write it is the fault that is meant, or refused in one line."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.simulation.fault_form import parse
from models.simulation.faults import Fault, FaultError, FaultKind


def test_the_form_of_the_command_line_says_all():
    fault = parse("hot:region=A2+7,cells=200+201,x=10,share=0.5@30+60", {"A2": 1})
    assert fault == Fault(
        FaultKind.HOT, (1, 7), (200, 201), "", {"x": 10.0, "share": 0.5}, start=30.0, length=60.0
    )
    assert [fault.active(t) for t in (29.9, 30.0, 89.9, 90.0)] == [False, True, True, False]


def test_what_is_left_out_takes_the_default():
    assert parse("gain").magnitudes == {"x": 0.05}
    assert parse("silent:region=3@5").active(1e9)
    assert str(parse("silent:region=3@5")) == "silent:region=3@5"
    assert parse("dead:cells=10-12").cells == (10, 11, 12)


@given(
    kind=st.sampled_from(sorted(set(FaultKind) - {FaultKind.SWAP})),
    region=st.lists(st.integers(0, 65_535), max_size=3).map(tuple),
    start=st.integers(0, 1000),
    length=st.integers(1, 1000),
)
@settings(max_examples=50)
def test_a_fault_written_is_the_fault_read(kind, region, start, length):
    fault = Fault(kind, region, start=float(start), length=float(length))
    again = parse(str(fault))
    assert again.magnitudes == pytest.approx(fault.magnitudes, rel=1e-5)
    assert (again.kind, again.region, again.start, again.length) == (kind, region, start, length)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("melt", "KIND is one of dead, hot"),
        ("", "KIND is one of"),
        ("hot:y=3", "hot takes region, cells, layer, channel, x, share, not y"),
        ("silent:cells=3", "silent takes region, not cells"),
        ("gain:x=much", "x must be a number"),
        ("gain:x=nan", "finite"),
        ("gain:x=-1", "outside"),
        ("noise:x=0.5", "outside"),
        ("trip:x=1", "outside"),
        ("second:x=0.7", "outside"),
        ("hot:share=0", "share must lie"),
        ("hot:x=3,x=4", "once"),
        ("hot:x", "once"),
        ("hot:region=A9", "region must be numbers"),
        ("hot:cells=-3", "cells must be numbers"),
        ("hot:cells=3,layer=middle", "not both"),
        ("hot@x", "START must be a number"),
        ("hot@-3", "begins at a second >= 0"),
        ("hot@3+0", "lasts more than 0 s"),
        ("swap:region=3", "two regions"),
    ],
)
def test_a_wrong_fault_is_refused_in_one_line(text, says):
    with pytest.raises(FaultError, match=says) as caught:
        parse(text)
    assert "\n" not in str(caught.value)
