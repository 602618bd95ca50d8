"""The software is upgraded and taken back while data flow: no gap, and the same alarm."""

from feeding import Feed, alarms, verdicts
from services import Services, newest_manifest, recount

from consumers.app.embedded import EmbeddedBroker
from consumers.app.settings import ARTEFACT
from consumers.app.wiring import form_of
from models.scoring.artefact import Artefact
from monitor.quality.alarms import State

FAULT = "gain:region=C3,x=0.1@12+50"


def hand_over(services, old, new, version):
    """Start processes of another version beside those that run, and stop these in good order."""
    services.start(new, "run", version=version)
    services.wait_for(new, "partitions: [")
    assert services.stop(old) == 0
    services.wait_for(new, "in office from offset")
    assert "judging from anew" not in services.log(new)
    assert newest_manifest(services.bootstrap).at > 0


def test_an_upgrade_and_its_rollback_leave_no_gap_in_the_verdicts(tmp_path):
    with EmbeddedBroker() as broker:
        services = Services(broker.bootstrap, tmp_path, broker=broker)
        try:
            services.start("old", "run", version="0.1.0")
            services.wait_for("old", "in office")
            feed = Feed(services.bootstrap, fault=(FAULT,))
            feed.until(24)
            feed.judged()
            hand_over(services, "old", "new", "0.2.0")
            feed.until(47)
            feed.judged()
            hand_over(services, "new", "back", "0.1.0")
            feed.until(71)
            feed.judged()
            assert services.stop("back") == 0
            check(services, feed)
        finally:
            services.end()


def check(services, feed):
    count = recount(services.bootstrap, form_of(Artefact.load(ARTEFACT)))
    assert count.showers == count.tallied == feed.sent
    assert count.overlaps == count.missing == 0
    assert newest_manifest(services.bootstrap).totals["showers"] == feed.sent
    told = verdicts(services.bootstrap)
    for lumisection, version in ((1, "0.1.0"), (2, "0.2.0"), (3, "0.1.0")):
        of_it = [v for (number, _), v in told.items() if number == lumisection]
        assert len(of_it) == 16
        assert sum(v.showers for v in of_it) == feed.by_lumisection[lumisection]
        assert version in {v.software for v in of_it}
    versions = [alarm for alarm in alarms(services.bootstrap) if "C3" in alarm.place]
    assert len({alarm.id for alarm in versions}) == 1
    assert [alarm.state for alarm in versions].count(State.RAISED) == 1
    struck = [v for v in told.values() if v.name == "C3" and v.lumisection <= 3]
    assert all(versions[0].id in v.alarms for v in struck)
