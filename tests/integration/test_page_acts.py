"""Acts over the live page: alarms taken in hand with a token, and nothing that is hostile or broken."""

import json
import socket
import time
from dataclasses import replace

import pytest
import requests
from chromium import chromium
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select
from show import BAD, GEOMETRY, Show, stale, text
from standings import DETECTOR, alarm, standing
from waiting import wait_until

from consumers.http.acts import Acts
from monitor.display.standing import Acknowledged

TOKEN = "correct horse battery"  # noqa: S105


@pytest.fixture(scope="module")
def browser():
    with chromium("--window-size=1920,1080") as driver:
        yield driver


@pytest.fixture(scope="module")
def said():
    return []


@pytest.fixture(scope="module")
def acting(said):
    made = Show(Acts(TOKEN, DETECTOR, GEOMETRY, said.append))
    yield made
    made.stop()


@pytest.fixture
def acting_page(browser, acting, said):
    said.clear()
    acting.put(BAD)
    browser.set_window_size(1920, 1080)
    browser.get(acting.server.url)
    wait_until(lambda: not stale(browser) and pressed(browser, "In hand …"))
    yield browser
    browser.get_log("browser")  # refusals are logged, and meant to be


def pressed(browser, words):
    """Press a button; the page may just have replaced it."""
    script = """const b = [...document.querySelectorAll("button")].find(b => b.textContent === arguments[0]);
    if (b) b.click(); return Boolean(b);"""
    return browser.execute_script(script, words)


def filled(browser, **fields):
    for name, value in fields.items():
        box = browser.find_element(By.ID, f"act-{name}")
        box.clear()
        box.send_keys(value)


def chosen(browser, name, words):
    Select(browser.find_element(By.ID, f"act-{name}")).select_by_visible_text(words)


def test_an_alarm_is_taken_in_hand_from_the_page(acting_page, acting, said):
    assert text(acting_page, "#act-what") == alarm().summary
    filled(acting_page, who="Ada", cause="noisy since the access", token=TOKEN)
    chosen(acting_page, "mask", "the cell middle[5,6] of B2")
    chosen(acting_page, "until", "for an hour of data")
    pressed(acting_page, "Acknowledge")
    wait_until(lambda: text(acting_page, "#act-result").startswith("Sent."))
    [act] = said
    assert (act.alarm, act.who, act.cause) == (alarm().id, "Ada", "noisy since the access")
    assert [len(mask.cells) for mask in act.masks] == [1]
    assert abs(act.until_ns / 1e9 - time.time() - 3600) < 30
    closed = "return !document.getElementById('act').open"
    wait_until(lambda: acting_page.execute_script(closed))


def test_what_is_typed_stays_while_the_evidence_grows(acting_page, acting):
    filled(acting_page, cause="half a sen")
    acting.put(replace(BAD, alarms=(alarm(version=2, showers=9_999, text="More by now."),)))
    wait_until(lambda: "More by now." in acting_page.page_source)
    assert acting_page.find_element(By.ID, "act-cause").get_attribute("value") == "half a sen"


def test_a_wrong_token_is_told_and_changes_nothing(acting_page, said):
    filled(acting_page, who="Eve", cause="nothing", token="wrong horse battery")  # noqa: S106
    pressed(acting_page, "Acknowledge")
    wait_until(lambda: text(acting_page, "#act-result") == "Not done: wrong token.")
    assert said == []


def test_a_form_that_is_not_filled_in_is_not_sent(acting_page, said):
    filled(acting_page, who="Ada", token=TOKEN)
    pressed(acting_page, "Acknowledge")
    assert text(acting_page, "#act-result") == "Name, cause and token are needed."
    assert said == []


def test_what_is_in_hand_can_be_lifted(browser, acting, said):
    said.clear()
    taken = Acknowledged(alarm().id, "Ada", "known cell", None)
    acting.put(standing(alarms=(alarm(),), acknowledged=(taken,)))
    browser.get(acting.server.url)
    wait_until(lambda: not stale(browser) and pressed(browser, "Lift"))
    filled(browser, who="Bob", cause="mended", token=TOKEN)
    browser.find_element(By.ID, "act-send").click()
    wait_until(lambda: text(browser, "#act-result").startswith("Sent."))
    assert [(act.who, act.lifted, act.masks) for act in said] == [("Bob", True, ())]


FROM_ELSEWHERE = """
const [url, token, body, done] = arguments;
const json = { "Content-Type": "application/json", Authorization: `Bearer ${token}` };
const tries = [
  fetch(url, { method: "POST", headers: json, body }),
  fetch(url, { method: "POST", mode: "no-cors", headers: { "Content-Type": "text/plain" }, body }),
  fetch(url, { method: "POST", mode: "no-cors", body, credentials: "include" }),
];
Promise.allSettled(tries).then((all) => done(all.map((one) => one.status)));
"""


def test_a_page_of_another_origin_can_do_nothing(browser, acting, said):
    other = Show()
    try:
        acting.put(BAD)
        said.clear()
        browser.get(f"{other.server.url}/api/state")  # a document without our policy's connect-src
        browser.execute_script("document.open(); document.close()")
        body = json.dumps(act())
        browser.execute_async_script(FROM_ELSEWHERE, f"{acting.server.url}/act", TOKEN, body)
        assert said == []
    finally:
        other.stop()
        browser.get_log("browser")


def act(**changes):
    return {
        "alarm": alarm().id, "who": "Ada", "cause": "known", "masks": [], "until_s": None,
        "lift": False,
    } | changes  # fmt: skip


def posted(acting, body, **headers):
    given = {
        "Content-Type": "application/json",
        "Origin": acting.server.url,
        "Authorization": f"Bearer {TOKEN}",
    } | headers
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    given = {name: value for name, value in given.items() if value is not None}
    return requests.post(f"{acting.server.url}/act", data=data, headers=given, timeout=15)


def test_requests_that_are_hostile_or_broken_change_nothing(acting, said):
    acting.put(BAD)
    wait_until(lambda: posted(acting, act(cause="probe")).status_code == 200)
    said.clear()
    assert posted(acting, act(), Authorization=None).status_code == 401
    assert posted(acting, act(), Origin="http://evil.example").status_code == 403
    assert posted(acting, act(), Origin=None).status_code == 403
    assert posted(acting, act(), **{"Content-Type": "text/plain"}).status_code == 415
    assert posted(acting, b"x" * 100_000).status_code == 413
    assert posted(acting, b"{not json").status_code == 400
    assert posted(acting, act(alarm="no-such-alarm")).json() == {"error": "no such open alarm"}
    assert said == []
    assert posted(acting, act()).json() == {"done": f"acknowledged {alarm().id}"}
    assert len(said) == 1


def test_a_body_that_never_comes_is_not_waited_for_for_ever(acting, said, monkeypatch):
    monkeypatch.setattr("consumers.http.server._Handler.timeout", 0.5)
    said.clear()
    host = acting.server.url.removeprefix("http://")
    head = (
        f"POST /act HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\nContent-Length: 90\r\n"
        f"Content-Type: application/json\r\nAuthorization: Bearer {TOKEN}\r\n\r\n{{"
    )
    with socket.create_connection(host.split(":"), 10) as one:
        one.sendall(head.encode())
        assert b" 408 " in one.recv(1000)
    assert said == []
