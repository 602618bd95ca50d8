"""Which ranges count: workers of the release before, which tell no ids of topics, take turns with ours."""

from spoken import entry

from consumers.exactly_once.fence import Fence
from consumers.wire import topics
from consumers.wire.ranges import Open, Stream

NAMED, UNNAMED = {"topic_id": "5Jx", "group": "calodqm"}, {}


def opened(fence, offset, whose):
    fence.open(offset, Open(0, "w", **whose))


def said(fence, token, begin, end, whose):
    place = {"topic": topics.SHOWERS, "partition": 0, "token": token, "begin": begin, "end": end}
    return fence.accept(entry(**place, seqs={"p": end}, **whose))


def turns():
    """Return a fence under which a partition went from one to the other and back, twice."""
    fence = Fence()
    for turn, whose in enumerate((UNNAMED, NAMED, UNNAMED, NAMED)):
        opened(fence, turn, whose)
        if turn:
            assert said(fence, turn, 10 * turn - 5, 10 * turn + 5, whose) == "gap"
            assert said(fence, turn - 1, 10 * turn, 10 * turn + 5, {}) == "fenced"
        assert said(fence, turn, 10 * turn, 10 * turn + 10, whose) == ""
    return fence


def test_a_partition_that_old_and_new_workers_have_in_turn_is_counted_once():
    fence = turns()
    assert fence.ends == {Stream(topics.SHOWERS, "5Jx", 0): 40}


def test_the_release_before_reads_the_fence():
    told = turns().to_json()
    # As 0.1.0 does it.
    tables = {name: dict(told[name]) for name in ("tokens", "ends", "seqs")}
    assert tables == {"tokens": {0: 3}, "ends": {0: 40}, "seqs": {0: {"p": 40}}}


def test_a_judge_of_ours_goes_on_from_a_snapshot_of_the_release_before():
    # That has heard our worker, and knows the partition by its number alone.
    fence = Fence.from_json({"tokens": [[0, 3]], "ends": [[0, 40]], "seqs": [[0, {}]]})
    assert said(fence, 3, 35, 45, NAMED) == "gap"
    assert said(fence, 3, 40, 45, NAMED) == ""


def test_a_fence_comes_back_as_it_went_with_what_was_before_it():
    fence = turns()
    # The topic was made again.
    again = {"topic_id": "7Kq"}
    opened(fence, 4, again)
    assert said(fence, 4, 0, 3, again) == ""
    back = Fence.from_json(fence.to_json())
    assert back == fence
    assert dict(fence.to_json()["ends"]) == {0: 3}
    now = Stream(topics.SHOWERS, "7Kq", 0)
    assert back.former(now) == now._replace(id="5Jx")
    assert Fence.from_json(Fence().to_json()) == Fence()
