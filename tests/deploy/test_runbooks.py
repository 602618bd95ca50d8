"""What a person reads at night: a runbook for every alert and every kind of fault, and short."""

import pytest
from deployed import DEPLOY, alerts

from consumers.http.page import RUNBOOKS
from monitor.quality.alarms import Kind

BOOKS = {path.stem: path.read_text() for path in RUNBOOKS.glob("*.md")}


def test_every_alert_and_every_kind_of_fault_has_a_runbook_and_no_other_has():
    kinds = {kind.value.replace(" ", "-") for kind in Kind}
    # Kafka's disk is looked at where a site says how.
    assert set(BOOKS) == set(alerts()) | kinds | {"CaloKafkaDisk"}


@pytest.mark.parametrize("name", sorted(BOOKS))
def test_a_runbook_is_short_and_says_what_it_means_what_to_do_and_whom_to_call(name):
    text = BOOKS[name]
    assert text.startswith("# ")
    for part in ("**It means:**", "**Do this, in order:**\n\n1. ", "**Call:**"):
        assert part in text
    assert len(text.split()) < 250


def test_the_shifters_guide_fits_on_a_page():
    assert len((DEPLOY / "guides" / "shifter.md").read_text().split()) < 550
