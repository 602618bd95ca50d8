"""Records survive JSON, keys tell them apart, and what is no record is refused in one line."""

from __future__ import annotations

import json

import pytest
from streams import GEOMETRY, Stream, expectation

from monitor.detector.tree import Detector, Region
from monitor.judging.monitor import Monitor
from monitor.quality import records
from monitor.quality.acknowledgements import Acknowledgement, Mask, MaskError, parse_mask
from monitor.quality.alarms import Alarm
from monitor.quality.reference_acts import Order, ReferenceAct
from monitor.quality.verdicts import Verdict


@pytest.fixture(scope="module")
def said():
    stream = Stream(regions=4)
    judge = Monitor(stream.detector, GEOMETRY, expectation())
    out = []
    for second in range(60):
        stream.strange = {1: 0.2} if second > 30 else {}
        out += judge.observe(stream.next())
    return [
        *out,
        Acknowledgement("A1-5", "Ada", "cable", 5, (Mask(1, ()), Mask(2, (3, 4))), until_ns=9),
        ReferenceAct(Order.ROLLBACK, "Ada", 7, since_ns=3),
        ReferenceAct(Order.CONDITIONS, "judge", 7, run=312, key="1300 V", in_force=True),
    ]


@pytest.mark.slow
def test_every_record_survives_json(said):
    assert {type(record) for record in said} >= {Alarm, Verdict, Acknowledgement, ReferenceAct}
    for record in said:
        assert records.from_json(json.loads(json.dumps(records.to_json(record)))) == record


def test_versions_of_one_thing_share_a_key_and_things_do_not(said):
    alarms = [record for record in said if isinstance(record, Alarm)]
    assert len({records.key(alarm) for alarm in alarms}) == len({alarm.id for alarm in alarms})
    verdicts = [record for record in said if isinstance(record, Verdict)]
    places = {(v.run, v.lumisection, v.region) for v in verdicts}
    assert len({records.key(v) for v in verdicts}) == len(places)


def masked(mask):
    act = Acknowledgement("A1-5", "Ada", "cable", 5)
    return records.to_json(act) | {"masks": [mask]}


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"type": "nonsense"},
        {"type": "alarm"},
        {"type": "verdict", "quality": "fine"},
        {"type": "acknowledgement", "masks": 3},
        masked({"region": True, "cells": []}),
        masked({"region": 1, "cells": [2.0]}),
        masked({"region": 1, "cells": ["2"]}),
        masked({"region": 1}),
        {"type": "acknowledgement", "masks": [], "alarm": "", "who": "", "cause": "", "time_ns": 0},
        {"type": "reference", "order": "explode", "who": "x", "time_ns": 1},
        {"type": "reference", "order": "rollback", "who": "x", "time_ns": 1, "since_ns": "noon"},
        {"type": "reference", "order": "conditions", "who": "x", "time_ns": 1, "run": "7"},
        {
            "type": "acknowledgement",
            "masks": [],
            "alarm": "A1-1",
            "who": "x",
            "cause": "x",
            "time_ns": 0,
            "until_ns": "noon",
        },
    ],
)
def test_what_is_no_record_is_refused(values):
    with pytest.raises(records.RecordError):
        records.from_json(values)


@pytest.mark.parametrize(
    ("text", "cells"),
    [("A3", ()), (" A3 ", ()), ("A3:front[0,1]", (1,)), ("A3:back[0,0];front[1,5]", (11, 12))],
)
def test_masks_are_read_as_people_write_them(text, cells):
    mask = parse_mask(text, Stream(regions=4).detector, GEOMETRY)
    assert mask == Mask(2, cells)


@pytest.mark.parametrize("text", ["", "Z9", "A3:", "A3:front", "A3:front[9,0]", "A3:side[0,0]"])
def test_masks_of_what_does_not_exist_are_refused_and_say_what_does(text):
    with pytest.raises(MaskError, match=r"no region|no cell"):
        parse_mask(text, Stream(regions=4).detector, GEOMETRY)


ODD = (
    "EB:07", 'left "upper"', "a\\b", "L1:CAL-EM;2", "Größe β", "x[1,2]",
    "{{ $labels.x }}", " padded ", "EB",
)  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_a_region_is_masked_by_whatever_name_people_gave_it(name):
    odd = Detector("odd", tuple(Region(i, name, "S") for i, name in enumerate(ODD)))
    for text, cells in ((name, 0), (f"{name}:front[0,1]", 1)):
        mask = parse_mask(text, odd, GEOMETRY)
        assert (odd.by_id[mask.region].name, len(mask.cells)) == (name, cells)
