"""The column `seed`: where a shower is in the detector, if the producer says so."""

import json
from dataclasses import replace

import numpy as np
import pytest

from consumers.wire import contract
from consumers.wire.arrow_form import encode
from consumers.wire.block import Block, DecodeError, Expected
from consumers.wire.codec import decode
from models.detector.geometry import Geometry, Layer
from models.showers.batch import Showers
from monitor.quality.rejection import Rejection

GEOMETRY = Geometry("patch-9", (Layer("crystals", (3, 3), (22.0, 22.0), (0.0, 230.0)),), 40.0)
REGION_OF_SEED = np.array([4, 4, 7, 7, -1])
EXPECTED = Expected(frozenset({4, 7}), region_of_seed=REGION_OF_SEED)


def block(seeds: list[int] | None, region: list[int]) -> Block:
    n = len(region)
    given = None if seeds is None else np.array(seeds, np.uint32)
    return Block(
        Showers(np.ones((n, 9), np.float32), np.full(n, 1e3, np.float32), seeds=given),
        event_id=np.arange(n, dtype=np.uint64),
        time_ns=np.full(n, 10**18),
        run=np.ones(n, np.int64),
        lumisection=np.ones(n, np.int64),
        region=np.array(region, np.int64),
        producer="p",
        seq=0,
    )


def test_a_record_says_its_seeds() -> None:
    again = decode(encode(block([1, 3], [4, 7]), GEOMETRY), GEOMETRY, expected=EXPECTED)
    assert again.showers.seeds is not None
    assert again.showers.seeds.dtype == np.uint32
    assert again.showers.seeds.tolist() == [1, 3]
    assert not again.showers.conditions


def test_a_record_without_seeds_is_as_it_was() -> None:
    assert (
        decode(encode(block(None, [4]), GEOMETRY), GEOMETRY, expected=EXPECTED).showers.seeds
        is None
    )
    assert contract.schema(GEOMETRY).names == [
        "event_id", "time", "run", "lumisection", "region", "e_inc", "showers",
    ]  # fmt: skip


def test_seeds_are_taken_as_they_are_where_the_detector_says_no_channels() -> None:
    again = decode(encode(block([99], [4]), GEOMETRY), GEOMETRY, expected=Expected())
    assert again.showers.seeds is not None
    assert again.showers.seeds.tolist() == [99]


@pytest.mark.parametrize(
    ("seeds", "region", "message"),
    [
        ([1, 5], [4, 7], "seed is 5 in row 1: the detector has channels 0 to 4"),
        ([4, 1], [7, 4], "seed is 4 in row 0: the detector has channels 0 to 4, and not each"),
        ([1, 3], [4, 4], "region is 4 in row 1, its seed 3 lies in region 7"),
    ],
)
def test_a_seed_that_cannot_be_is_refused(
    seeds: list[int], region: list[int], message: str
) -> None:
    with pytest.raises(DecodeError, match=message) as error:
        decode(encode(block(seeds, region), GEOMETRY), GEOMETRY, expected=EXPECTED)
    assert error.value.reason is Rejection.REGION


def json_form(seed: object) -> bytes:
    fields = {
        "schema": 1, "geometry": "patch-9", "event_id": 1, "time": 10**18, "run": 1,
        "lumisection": 1, "region": 7, "e_inc": None, "showers": [1.0] * 9, "seed": seed,
    }  # fmt: skip
    return json.dumps(fields).encode()


def test_json_says_seeds_too() -> None:
    again = decode(json_form(2), GEOMETRY, expected=EXPECTED)
    assert again.showers.seeds is not None
    assert again.showers.seeds.tolist() == [2]
    with pytest.raises(DecodeError, match=r"seed is 2\.5 in row 0: a whole number below 2\^32"):
        decode(json_form(2.5), GEOMETRY, expected=EXPECTED)
    with pytest.raises(DecodeError, match="seed is -1 in row 0"):
        decode(json_form(-1), GEOMETRY, expected=EXPECTED)


def test_showers_of_one_record_all_say_their_seed_or_none() -> None:
    with pytest.raises(ValueError, match="seeds must be 2 uint32"):
        replace(block([1, 3], [4, 7]).showers, seeds=np.array([1], np.uint32))
