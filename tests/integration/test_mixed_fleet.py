"""A fleet is upgraded from the release before and taken back while data flow: nothing lost, nothing twice.

The old side is the release before, out of the history; the new side is the code as it stands. Each
judges by a state of its own form, so that a judge of the other begins anew: what was counted stays.
"""

import pytest
import released
from feeding import Feed, alarms, verdicts
from services import Services, newest_manifest, recount

from consumers.app.embedded import EmbeddedBroker
from consumers.app.settings import ARTEFACT
from consumers.app.wiring import form_of
from models.scoring.artefact import Artefact

FAULT = "gain:region=C3,x=0.1@12+300"
OLD, NEW = released.BEFORE["version"], "next"
PATIENCE_S = 240
"""Six processes of two trees start one after another, beside whatever else the machine does."""


@pytest.fixture(scope="module")
def before(tmp_path_factory):
    """Return the tree of the release before."""
    tree = released.check_out(released.BEFORE["commit"], tmp_path_factory.mktemp("before"))
    if tree is None:
        pytest.skip(f"this history does not have {released.BEFORE['commit'][:7]}")
    return tree


def replace_workers(services, feed, old, new, second, **code):
    """Let both score side by side up to a data-second, and stop the old one in good order."""
    services.start(new, "score", **code)
    services.wait_for(new, "partitions: [", PATIENCE_S)
    feed.until(second)
    feed.judged(PATIENCE_S)
    assert services.stop(old) == 0


def replace_judge(services, old, new, **code):
    """Let a judge stand by (it says nothing of it), and stop the one in office in good order."""
    services.start(new, "judge", **code)
    services.wait_for(new, "on http://", PATIENCE_S)
    assert services.stop(old) == 0
    services.wait_for(new, "in office from offset", PATIENCE_S)
    assert "judging from anew" in services.log(new)
    assert newest_manifest(services.bootstrap).at > 0


@pytest.mark.timeout(1500)
def test_a_mixed_fleet_and_its_rollback_count_every_shower_once(before, tmp_path):
    with EmbeddedBroker() as broker:
        services = Services(broker.bootstrap, tmp_path, broker=broker)
        try:
            services.start("old judge", "judge", tree=before)
            services.start("old score", "score", tree=before)
            services.wait_for("old judge", "in office", PATIENCE_S)
            services.wait_for("old score", "partitions: [", PATIENCE_S)
            feed = Feed(services.bootstrap, fault=(FAULT,))
            feed.until(24)
            feed.judged(PATIENCE_S)
            replace_workers(services, feed, "old score", "new score", 34, version=NEW)
            replace_judge(services, "old judge", "new judge", version=NEW)
            feed.until(72)
            feed.judged(PATIENCE_S)
            # Back, the other way round: an old judge reads what new workers write.
            replace_judge(services, "new judge", "judge again", tree=before)
            replace_workers(services, feed, "new score", "score again", 84, tree=before)
            feed.until(118)
            feed.judged(PATIENCE_S)
            assert services.stop("judge again") == 0
            check(services, feed)
        finally:
            services.end()


def check(services, feed):
    count = recount(services.bootstrap, form_of(Artefact.load(ARTEFACT)))
    assert count.showers == count.tallied == feed.sent
    assert count.overlaps == count.missing == 0
    assert newest_manifest(services.bootstrap).totals["showers"] == feed.sent
    told = verdicts(services.bootstrap)
    # The first, third and fifth lumisection had one judge from their beginning to their end.
    for lumisection, version in ((1, OLD), (3, NEW), (5, OLD)):
        of_it = [v for (number, _), v in told.items() if number == lumisection]
        assert len(of_it) == 16
        assert sum(v.showers for v in of_it) == feed.by_lumisection[lumisection]
        assert {v.software for v in of_it} == {version}
    # The fault is seen by each of the three judges, and each says so for its own lumisections.
    raised = {alarm.id for alarm in alarms(services.bootstrap) if "C3" in alarm.place}
    for lumisection in (1, 3, 5):
        [struck] = [v for v in told.values() if v.name == "C3" and v.lumisection == lumisection]
        assert raised & set(struck.alarms)
