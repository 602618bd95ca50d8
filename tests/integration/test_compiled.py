"""A worker whose model is compiled meanwhile, beside one whose is not: every shower counts once."""

import shutil

import pytest
from feeding import Feed
from services import on_a_broker, recount
from waiting import wait_until

from consumers.app.settings import ARTEFACT
from consumers.app.wiring import form_of
from models.scoring.artefact import Artefact

SAID = "is evaluated by a compiled program"


@pytest.fixture
def services(tmp_path):
    with on_a_broker(tmp_path) as started:
        yield started


@pytest.mark.timeout(600)
@pytest.mark.skipif(shutil.which("g++") is None, reason="no g++ here")
def test_a_worker_goes_over_while_data_flow_and_a_fleet_of_both_counts_all(services, tmp_path):
    services.start("judge", "run")
    services.wait_for("judge", "in office from", 120)
    services.environment = {"CALODQM_COMPILE": "true", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    services.start("compiles", "score")
    services.wait_for("compiles", "partitions: [", 120)
    feed = Feed(services.bootstrap)
    feed.until(6)
    assert SAID not in services.log("compiles")  # it scored before
    services.wait_for("compiles", SAID, 300)
    feed.until(12)
    form = form_of(Artefact.load(ARTEFACT))

    def all_count():
        return recount(services.bootstrap, form).showers >= feed.sent

    wait_until(all_count, 120, f"{feed.sent} showers to count", every=1)
    counted = recount(services.bootstrap, form)
    assert (counted.showers, counted.overlaps, counted.missing) == (feed.sent, 0, 0)
    assert SAID not in services.log("judge")
    assert services.stop("compiles") == 0
