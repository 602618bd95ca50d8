"""The good-run list holds what is known to be good, in its newest version, and says why not."""

from __future__ import annotations

from dataclasses import replace

from monitor.quality.quality import Quality
from monitor.quality.verdicts import Verdict
from monitor.verdicts.good_runs import listing, newest

GOOD = Verdict(
    1, 1, 0, "A1", Quality.GOOD, 1, 100, 1, 1.0, ((5, 9),), (), (), "", "model", "reference", "1.0"
)


def verdicts(qualities: dict[tuple[int, int], Quality]) -> list[Verdict]:
    """Return verdicts by lumisection and region."""
    return [
        replace(GOOD, lumisection=ls, region=region, name=f"A{region + 1}", quality=quality)
        for (ls, region), quality in qualities.items()
    ]


def test_a_lumisection_is_good_if_all_its_regions_are():
    said = verdicts(
        {(ls, region): Quality.GOOD for ls in (1, 2, 3, 4) for region in (0, 1)}
        | {(3, 1): Quality.BAD}
    )
    told = listing(newest(said, 1))
    assert told["good"] == {"1": [[1, 2], [4, 4]]}
    assert told["regions"] == {"A1": [[1, 4]], "A2": [[1, 2], [4, 4]]}
    assert [(row["region"], row["quality"]) for row in told["verdicts"]] == [("A2", "bad")]


def test_what_is_not_known_is_not_good_unless_asked_for():
    said = verdicts({(1, 0): Quality.NULL, (2, 0): Quality.GOOD})
    assert listing(said)["good"] == {"1": [[2, 2]]}
    either = frozenset({Quality.GOOD, Quality.NULL})
    assert listing(said, either)["good"] == {"1": [[1, 2]]}


def test_the_newest_version_counts_in_whatever_order_they_come():
    late = replace(GOOD, version=2, quality=Quality.BAD, reason="hot cell")
    for said in ([GOOD, late], [late, GOOD]):
        told = listing(newest(said, 1))
        assert told["good"] == {"1": []}
        assert told["verdicts"][0]["reason"] == "hot cell"
        assert told["verdicts"][0]["version"] == 2


def test_the_list_says_what_it_rests_on():
    told = listing([GOOD, replace(GOOD, lumisection=2, model="other")])
    assert told["models"] == ["model", "other"]
    assert told["references"] == ["reference"]
