"""A judge that stands by takes what people say of alarms, as the one in office does."""

import contextlib
import time

import pytest
import requests
from services import Services
from waiting import wait_until

from consumers.app.embedded import EmbeddedBroker, free_port

TOKEN = "correct horse battery"  # noqa: S105


class Judges:
    """One in office, with a worker, and one that stands by; each with a page where acts are taken."""

    def __init__(self, services):
        self.services = services
        self.office = self._start("office", "run")
        services.wait_for("office", "in office from", 120)
        self.standby = self._start("standby", "judge")
        wait_until(lambda: state(self.standby)["role"] == "standby", 60, "a stand-by")

    def _start(self, name, command):
        port = free_port()
        self.services.environment = {
            "CALODQM_HTTP_PORT": str(port),
            "CALODQM_PAGE_TOKEN": TOKEN,
        }
        self.services.start(name, command)
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: answers(url), 120, f"the page of {name}")
        return url


def answers(url):
    with contextlib.suppress(requests.ConnectionError):
        return requests.get(f"{url}/healthz", timeout=5).ok
    return False


def state(url):
    return requests.get(f"{url}/api/state", timeout=5).json()


def say(url, alarm, **more):
    told = {"alarm": alarm, "who": "Ada", "cause": "known", "masks": [], "until_s": None} | more
    headers = {"Origin": url, "Authorization": f"Bearer {TOKEN}"}
    return requests.post(f"{url}/act", json={"lift": False} | told, headers=headers, timeout=15)


@pytest.fixture(scope="module")
def judges(tmp_path_factory):
    with EmbeddedBroker() as broker, contextlib.ExitStack() as ends:
        services = Services(broker.bootstrap, tmp_path_factory.mktemp("logs"))
        ends.callback(services.end)
        yield Judges(services)


def taken(url):
    """Return who has each open alarm in B2 in hand, by its id; None for nobody."""
    alarms = (state(url)["now"] or {}).get("alarms", ())
    return {alarm["id"]: alarm["taken"] for alarm in alarms if alarm["place"] == "B2"}


def test_an_act_on_a_stand_by_reaches_the_judge_in_office(judges):
    judges.services.simulate("--rate", "400", "--fault", "gain:region=B2,x=0.1@20")
    alarm = next(iter(wait_until(lambda: taken(judges.office), 120, "an alarm")))
    wait_until(lambda: say(judges.standby, alarm).ok, 20, "the stand-by to have read of it")
    wait_until(lambda: taken(judges.office).get(alarm), 30, "the alarm to be in hand")
    assert state(judges.standby)["role"] == "standby"
    assert say(judges.standby, alarm, lift=True).json() == {"done": f"lifted {alarm}"}
    wait_until(lambda: taken(judges.office).get(alarm, "") is None, 30, "it to be nobody's")


def test_a_stand_by_knows_which_alarms_are_not_open(judges):
    wait_until(lambda: say(judges.standby, "no-such-alarm").status_code != 503, 20, "its reading")
    reply = say(judges.standby, "no-such-alarm")
    assert (reply.status_code, reply.json()) == (404, {"error": "no such open alarm"})


def test_the_judge_in_office_is_ready_long_after_it_took_office(judges):
    time.sleep(4)  # longer than a session of these services, in which what it wrote must be through
    wait_until(lambda: requests.get(f"{judges.office}/readyz", timeout=5).ok, 30, "readiness")
