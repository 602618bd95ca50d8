"""Acts over the page: what is carried out, and every way in which a request is refused before it is."""

import subprocess
import sys

import orjson
import pytest
from services import ROOT
from standings import DETECTOR, alarm

from consumers.http.acts import MAX_BYTES, ActError, Acts
from consumers.kafka.connection import Connection
from consumers.wire.user_error import UserError
from models.detector import files as geometries
from monitor.quality.acknowledgements import Mask

GEOMETRY = geometries.load(geometries.SHIPPED / "pb-lar-504.json")
TOKEN = "0123456789abcdef"  # noqa: S105
ID = alarm().id
GOOD = {
    "alarm": ID, "who": "Ada", "cause": "noisy cell", "masks": ["B2:middle[5,6]"],
    "until_s": 1_795_003_600, "lift": False,
}  # fmt: skip
HEADERS = {
    "Content-Type": "application/json",
    "Origin": "http://calo:9108",
    "Host": "calo:9108",
    "Authorization": f"Bearer {TOKEN}",
    "Content-Length": "100",
}


@pytest.fixture
def said():
    return []


@pytest.fixture
def acts(said):
    return Acts(TOKEN, DETECTOR, GEOMETRY, said.append)


def test_an_act_becomes_the_acknowledgement_that_the_command_writes(acts, said):
    assert acts.do(orjson.dumps(GOOD), {ID}.__contains__, 17, "10.0.0.1") == f"acknowledged {ID}"
    [act] = said
    region = next(r.id for r in DETECTOR.regions if r.name == "B2")
    cell = GEOMETRY.slices[1].start + 5 * GEOMETRY.layers[1].shape[1] + 6
    assert act.masks == (Mask(region, (cell,)),)
    assert (act.alarm, act.who, act.cause, act.time_ns) == (ID, "Ada", "noisy cell", 17)
    assert act.until_ns == 1_795_003_600 * 10**9
    assert not act.lifted


def test_what_is_secret_is_in_no_representation(acts):
    assert TOKEN not in repr(acts)
    assert TOKEN not in repr(Connection("calo:9092", {"sasl_plain_password": TOKEN}))


def test_an_act_can_lift_another(acts, said):
    body = orjson.dumps(GOOD | {"lift": True, "until_s": None, "masks": []})
    assert acts.do(body, {ID}.__contains__, 17, "10.0.0.1") == f"lifted {ID}"
    assert said[0].lifted


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": None}, 403),
        ({"Origin": "http://["}, 403),
        ({"Origin": "http://calo:9109"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Authorization": None}, 401),
        ({"Authorization": "Bearer "}, 401),
        ({"Authorization": "Bearer 0123456789abcdeX"}, 401),
        ({"Authorization": f"Basic {TOKEN}"}, 401),
        ({"Authorization": f"Bearer {TOKEN}x"}, 401),
        ({"Content-Length": None}, 411),
        ({"Content-Length": "-1"}, 411),
        ({"Content-Length": "1e3"}, 411),
        ({"Content-Length": "²"}, 411),
        ({"Transfer-Encoding": "chunked"}, 411),
        ({"Content-Length": str(MAX_BYTES + 1)}, 413),
        ({"Content-Length": "9" * 5000}, 413),
    ],
)
def test_a_request_is_refused_by_its_head_alone(changes, status, acts):
    headers = {k: v for k, v in (HEADERS | changes).items() if v is not None}
    with pytest.raises(ActError) as refusal:
        acts.admit(headers)
    assert refusal.value.status == status


@pytest.mark.parametrize(
    "more", [{}, {"Origin": "https://calo:9108"}, {"Sec-Fetch-Site": "same-origin"}]
)
def test_the_page_itself_is_admitted_also_behind_a_proxy_that_ends_tls(more, acts):
    assert acts.admit(HEADERS | more) == 100


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"alarm": "B2-other-1"}, 404),
        ({"alarm": 5}, 400),
        ({"who": ""}, 400),
        ({"who": "   "}, 400),
        ({"cause": ""}, 400),
        ({"cause": "x" * 501}, 400),
        ({"cause": ["x"]}, 400),
        ({"masks": "B2"}, 400),
        ({"masks": [1]}, 400),
        ({"masks": ["Z9"]}, 400),
        ({"masks": ["B2:middle[99,0]"]}, 400),
        ({"masks": ["B2"] * 17}, 400),
        ({"until_s": True}, 400),
        ({"until_s": -5}, 400),
        ({"until_s": 2**40}, 400),
        ({"until_s": 1e9}, 400),
        ({"until_s": "tomorrow"}, 400),
        ({"lift": 1}, 400),
        ({"lift": None}, 400),
        ({"more": 1}, 400),
    ],
)
def test_a_body_that_is_not_an_act_changes_nothing(changes, status, acts, said):
    with pytest.raises(ActError) as refusal:
        acts.do(orjson.dumps(GOOD | changes), {ID}.__contains__, 17, "10.0.0.1")
    assert refusal.value.status == status
    assert said == []


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b"[" * 4000, b"{}"]
)
def test_a_body_that_is_not_json_of_the_right_shape_changes_nothing(body, acts, said):
    with pytest.raises(ActError) as refusal:
        acts.do(body, {ID}.__contains__, 17, "10.0.0.1")
    assert refusal.value.status == 400
    assert said == []


def test_who_does_not_know_yet_which_alarms_are_open_says_so(acts, said):
    with pytest.raises(ActError, match="again in a moment") as refusal:
        acts.do(orjson.dumps(GOOD), lambda _: None, 17, "10.0.0.1")
    assert refusal.value.status == 503
    assert said == []


def test_every_field_is_needed(acts):
    for name in GOOD:
        less = {k: v for k, v in GOOD.items() if k != name}
        with pytest.raises(ActError, match="has the fields"):
            acts.do(orjson.dumps(less), {ID}.__contains__, 17, "10.0.0.1")


def test_a_broker_that_does_not_take_it_is_told():
    def fails(_):
        raise UserError("broker is away")

    with pytest.raises(ActError, match="broker is away") as refusal:
        Acts(TOKEN, DETECTOR, GEOMETRY, fails).do(
            orjson.dumps(GOOD), {ID}.__contains__, 17, "10.0.0.1"
        )
    assert refusal.value.status == 503


@pytest.mark.slow
def test_acknowledging_at_the_prompt_does_not_wait_for_torch():
    code = "import sys, consumers.cli.commands.ack; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
