"""A hot cell is masked over a real broker: scores are good again, a second fault is still seen."""

from feeding import Feed, alarms, ask
from services import Services
from waiting import wait_until

from consumers.app.embedded import EmbeddedBroker
from consumers.app.settings import ARTEFACT
from consumers.app.wiring import form_of
from consumers.kafka.connection import Connection
from consumers.kafka.log import KafkaLog
from consumers.wire import topics, window_form
from models.scoring.artefact import Artefact
from monitor.quality.alarms import State

REGION = 5
"""B2."""

QUIET, START = 358, 1_767_225_600
FAULTS = (
    f"hot:region=B2,cells={QUIET},x=50,share=1@6+200",
    "gain:region=B2,x=0.15@34+14",
)


def strange_share(bootstrap, form, begin, end):
    """Return the share of showers of B2 with p <= 0.01 in seconds of stream time, by the ranges."""
    log = KafkaLog(Connection(bootstrap))
    seen = strange = 0
    for record in log.read_all(topics.WINDOWS):
        if record.value[:1] == b"{":
            continue
        for window in window_form.windows(record.value, form):
            if begin <= window.key.second - START < end:
                rows = window.regions == REGION
                seen += int(window.showers[rows].sum())
                strange += int(window.exceedances[rows][..., 1].sum())
    log.close()
    return strange / seen


def test_a_masked_cell_leaves_the_scores_and_comes_back(tmp_path):
    artefact = Artefact.load(ARTEFACT)
    form = form_of(artefact)
    with EmbeddedBroker() as broker:
        services = Services(broker.bootstrap, tmp_path)
        try:
            services.start("one", "run")
            services.wait_for("one", "in office")
            feed = Feed(broker.bootstrap, rate=600, fault=FAULTS)
            feed.until(16)
            wait_until(lambda: alarms(broker.bootstrap), 30, "the alarm")
            first = alarms(broker.bootstrap)[-1]
            assert "B2" in first.summary
            name = artefact.geometry.cell_name(QUIET)
            words = ("ack", first.id, "--cause", "hot", "--who", "Ada")
            code, text = ask(broker.bootstrap, *words, "--mask", f"B2:{name}")
            assert code == 0, text
            services.wait_for("one", "cells masked in 1 regions")
            services.wait_for("one", "without 1 cells: learnt")
            feed.until(34)
            feed.judged()
            assert strange_share(broker.bootstrap, form, 8, 16) > 0.5
            assert strange_share(broker.bootstrap, form, 19, 34) < 0.05
            states = [(a.id, a.state) for a in alarms(broker.bootstrap)]
            assert states[-1] == (first.id, State.CLEARED)
            feed.until(48)  # the second fault, from 34 on
            feed.judged()
            later = alarms(broker.bootstrap)[len(states) :]
            assert later
            assert {a.place for a in later} == {"B2"}
            assert QUIET not in {cell.cell for a in later for cell in a.cells}
            code, text = ask(broker.bootstrap, *words, "--lift")
            assert code == 0, text
            services.wait_for("one", "cells masked in 0 regions")
            feed.until(58)
            feed.judged()
            assert strange_share(broker.bootstrap, form, 51, 58) > 0.5
            without_an_alarm(broker.bootstrap, services, f"B2:{name}")
        finally:
            services.end()


def without_an_alarm(bootstrap, services, place):
    """What is known to be bad before anything alarms is masked, and comes back by saying it again."""
    cells, regions = "cells masked in 1 regions", "cells masked in 0 regions"
    for words, said in ((("noisy",), cells), (("mended", "--lift"), regions)):
        before = services.log("one").count(said)
        code, text = ask(bootstrap, "mask", place, "--cause", *words, "--who", "Ada")
        assert code == 0, text
        wait_until(lambda b=before, s=said: services.log("one").count(s) > b, 60, said)
