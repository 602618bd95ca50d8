"""The parts of `calodqm bench` that have a broker."""

from consumers.app import environment, wiring
from consumers.bench.ingest import plain_loop
from models.showers import shipped


def test_the_loop_that_the_service_is_held_against_takes_its_records():
    settings = environment.load({}, {})
    artefact = wiring.artefact_of(settings)
    source = shipped.DEMO
    assert plain_loop(settings, artefact, source, 20) > 0
