"""The live page in a real browser: what it says, when it is stale, and that nothing can break it."""

import json
import socket
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
import requests
from chromium import chromium
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select
from standings import DETECTOR, SECOND, alarm, expositions, history, spectra, standing, with_quality
from waiting import wait_until

from consumers.http.acts import Acts
from consumers.http.health import HANG_S, Health
from consumers.http.page import Line, Page, ShowerCoordinates
from consumers.http.server import Server
from models.detector import files as geometries
from monitor.display.metrics.judge import JudgeRole
from monitor.display.pictures import ShowerPicture
from monitor.display.standing import Acknowledged
from monitor.quality.quality import Quality
from monitor.quality.run_acts import RunNow

GEOMETRY = geometries.load(geometries.SHIPPED / "pb-lar-504.json")
KEPT = ShowerCoordinates("calo.showers.v1", 3, 9_210, 0)


def shower(place):
    cells = np.random.default_rng(place.row).exponential(5, GEOMETRY.n_cells).astype(np.float32)
    return (
        ShowerPicture(GEOMETRY, cells, cells, cells - 5, "event") if place.offset < 10_000 else None
    )


class Show:
    """A judge that shows one standing every half second, as if it were now."""

    def __init__(self, acts=None):
        self.exposition, *_ = expositions()
        self.page, self.health = Page(shower=shower, silent_s=3.0, acts=acts), Health()
        self.server = Server(self.exposition, self.health, self.page)
        self.put()
        self._second = int(time.time())
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.server.start()
        self._thread.start()

    def _run(self):
        while True:
            if self.moving:
                self._second = int(time.time()) - self.behind
            if self.judging:
                self.page.show(
                    replace(self.now, data_second=self._second), {"Model": Line("flux")}, self.role
                )
            if self._stop.wait(0.3):
                return

    def put(self, now=None, *, role=JudgeRole.ACTIVE, judging=True, moving=True, behind=0):
        self.now, self.role, self.judging, self.moving = now or standing(), role, judging, moving
        self.behind = behind

    def stop(self):
        self._stop.set()
        self._thread.join()
        self.server.stop()


@pytest.fixture(scope="module")
def show():
    made = Show()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def browser():
    with chromium("--window-size=1920,1080") as driver:
        yield driver


@pytest.fixture
def page(browser, show):
    show.put()
    browser.set_window_size(1920, 1080)
    browser.get(show.server.url)
    wait_until(lambda: not stale(browser))
    yield browser
    loud = [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    assert loud == []


def text(browser, selector):
    return browser.find_element(By.CSS_SELECTOR, selector).text


def stale(browser):
    return "stale" in browser.find_element(By.TAG_NAME, "body").get_attribute("class")


def warned(browser, words, seconds=20):
    wait_until(lambda: stale(browser) and words in text(browser, "#stale"), seconds)


BAD = with_quality(
    standing(alarms=(alarm(),), history=history(boost=4), spectra=spectra(3.0)), B2=Quality.BAD
)


def test_a_good_day_is_seen_at_a_glance(page):
    assert text(page, "#headline") == "All 16 regions good"
    assert len(page.find_elements(By.CSS_SELECTOR, ".region[data-quality=good]")) == 16
    assert "No open alarm" in text(page, "#alarms")
    assert page.title.startswith("Good")
    assert text(page, "#run") == "456789"


def test_an_alarm_is_told_in_words_with_its_evidence_and_what_to_do(page, show):
    show.put(BAD)
    wait_until(lambda: text(page, "#headline") == "B2: hot cell middle[5,6]")
    assert page.title.startswith("BAD")
    assert "187 strange showers of 2,562 where 25.7 ± 1.1 are expected" in text(page, "#alarms")
    assert "middle[5,6] 91 %" in text(page, ".shares")
    tile = page.find_element(By.CSS_SELECTOR, ".region[data-quality=bad]")
    assert tile.text.startswith("B2")
    link = page.find_element(By.LINK_TEXT, "What to do").get_attribute("href")
    assert link.startswith(show.server.url + "/runbooks/")
    assert f"calodqm ack {alarm().id}" in text(page, ".acts")


def test_there_is_nothing_to_do_on_a_good_day_alone(page, show):
    assert text(page, "#alarms") == "No open alarm: nothing to do."
    show.put(with_quality(standing(), B2=Quality.BAD))
    wait_until(lambda: text(page, "#headline") == "B2: bad")
    assert text(page, "#alarms") == "No open alarm."


def test_the_strangest_showers_are_drawn(page, show):
    show.put(BAD)

    def drawn():
        images = page.find_elements(By.CSS_SELECTOR, "#worst img")
        return [page.execute_script("return arguments[0].naturalWidth", i) > 100 for i in images]

    assert len(wait_until(lambda: (found := drawn()) and all(found) and found)) == 4


def test_an_acknowledged_alarm_is_quiet_and_says_who_has_it(page, show):
    taken = Acknowledged(alarm().id, "Ada", "known cell", None)
    show.put(standing(alarms=(alarm(),), acknowledged=(taken,)))
    wait_until(lambda: page.find_elements(By.CSS_SELECTOR, ".alarm.taken"))
    assert text(page, "#headline") == "All 16 regions good"
    assert text(page, ".alarm em").lower() == "in hand"
    page.find_element(By.CSS_SELECTOR, ".alarm summary").click()
    wait_until(lambda: "Ada: known cell" in text(page, "#alarms"))
    time.sleep(1.5)  # a new state must not fold it again
    assert "Ada: known cell" in text(page, "#alarms")


def test_the_page_says_at_once_when_data_stand_still(page, show):
    show.put(moving=False)
    warned(page, "No new data for")
    assert page.title.startswith("STALE")
    show.put()
    wait_until(lambda: not stale(page))


def test_between_runs_nobody_waits_for_data(page, show):
    show.put(standing(run_now=RunNow.BETWEEN), moving=False)
    wait_until(lambda: text(page, "#headline") == "No run; the last was 456789")
    time.sleep(show.page.silent_s + 1)
    assert not stale(page)
    show.put(standing(run_now=RunNow.BETWEEN), behind=300)
    wait_until(lambda: text(page, "#behind") == "5 min")
    show.put(moving=False)  # a run has begun, and nothing comes
    warned(page, "No new data for")


def test_the_page_says_when_the_judge_has_stopped(page, show):
    show.put(judging=False)
    warned(page, "The judge has been silent")


def test_a_stand_by_never_looks_live(page, show):
    show.put(role=JudgeRole.STANDBY)
    warned(page, "Stand-by")


def test_the_page_says_when_the_server_is_gone(browser, show):
    other = Show()
    browser.get(other.server.url)
    wait_until(lambda: not stale(browser))
    other.stop()
    warned(browser, "No answer for")
    browser.get(show.server.url)
    browser.get_log("browser")  # refused connections are what this test is about


def test_a_page_whose_script_dies_covers_itself(page):
    hidden = 'return getComputedStyle(document.getElementById("deadman")).visibility'
    assert page.execute_script(hidden) == "hidden"
    page.execute_script("let id = setTimeout(() => 0); while (id) clearTimeout(id--);")
    wait_until(lambda: page.execute_script(hidden) == "visible", 12)


def test_what_cannot_be_drawn_is_not_called_fresh(page, show):
    nameless = replace(alarm().worst[0], p=float("nan"))
    show.put(standing(worst=(nameless,)))
    warned(page, "cannot draw")
    show.put()
    wait_until(lambda: not stale(page))


def test_old_data_are_called_old_but_not_stale(page, show):
    show.put(behind=7_200)
    wait_until(lambda: text(page, "#behind") == "2 h 0 min, old data")
    assert not stale(page)


def test_a_time_of_another_day_has_its_date_beside_it(page, show):
    show.put(standing(alarms=(alarm(),)), behind=172_800)
    wait_until(lambda: page.find_elements(By.CSS_SELECTOR, ".when"))
    onset = datetime.fromtimestamp(SECOND - 41, UTC)
    assert f"Since {onset:%Y-%m-%d %H:%M:%S} UTC" in text(page, ".when")
    ended = datetime.fromtimestamp(time.time() - 172_800, UTC)
    assert text(page, "#clock").startswith(f"{ended:%Y-%m-%d}")


def test_names_from_outside_are_text_and_never_markup(page, show):
    evil = '<img src=x onerror="document.title=1">'
    show.put(standing(alarms=(alarm(summary=evil, text=evil),)))
    wait_until(lambda: text(page, "#headline") == evil)
    assert page.find_elements(By.CSS_SELECTOR, "#alarms img") == []


@pytest.mark.parametrize(("width", "height"), [(390, 844), (768, 1024), (1920, 1080), (3840, 2160)])
def test_nothing_sticks_out_at_any_width(page, show, width, height):
    show.put(BAD)
    page.set_window_size(width, height)
    wait_until(lambda: "hot cell" in text(page, "#headline"))
    outside = page.execute_script(
        "const w = document.documentElement.clientWidth;"
        "return [...document.querySelectorAll('body *')].filter(e => !e.closest('.chart, #deadman, #stale')"
        " && e.getBoundingClientRect().right > w + 1).map(e => e.tagName + '.' + e.className)"
    )
    assert outside == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_has_contrast_in_both_themes(page, show, theme):
    show.put(BAD)
    page.get(f"{show.server.url}/?theme={theme}")
    wait_until(lambda: "hot cell" in text(page, "#headline"))
    ratios = page.execute_script(CONTRAST)
    assert min(ratios.values()) > 4.5, ratios


CONTRAST = """
const lum = (c) => { const [r, g, b] = c.match(/[\\d.]+/g).map(Number).map(v => v / 255)
  .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
const ground = (e) => { for (; e; e = e.parentElement) {
  const c = getComputedStyle(e).backgroundColor; if (!/, 0\\)$/.test(c)) return c; } return "rgb(255,255,255)"; };
const out = {};
for (const s of ["#headline", "#since", ".region b", ".region[data-quality=bad] b", ".alarm h3 span", ".alarm em",
                 ".alarm p", ".shares li", "h2 small", "header dt", "figcaption", "#trust dt", "#trust dd"]) {
  const e = document.querySelector(s), a = lum(getComputedStyle(e).color), b = lum(ground(e));
  out[s] = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
}
return out;
"""


# Without a browser: what the server gives and what it refuses.


def test_probes_tell_a_hanging_loop_and_a_process_that_is_not_ready(show, monkeypatch):
    url = show.server.url

    def status(path):
        reply = requests.get(url + path, timeout=5)
        return reply.status_code, reply.text

    now = time.monotonic()  # stands still: the silence is the same on a slow machine
    monkeypatch.setattr("consumers.http.health.time.monotonic", lambda: now)
    assert status("/healthz") == (200, "ok\n")
    assert status("/readyz")[0] == 503
    for job in ("worker", "judge"):
        show.health.beat(job)
        show.health.ready(job, yes=True)
    assert status("/readyz") == (200, "ready\n")
    show.health.ready("worker", yes=False)
    assert status("/readyz") == (503, "not ready: worker\n")
    monkeypatch.setattr("consumers.http.health.time.monotonic", lambda: now + HANG_S + 1)
    show.health.beat("judge")  # one that goes round does not hide one that hangs
    code, said = status("/healthz")
    assert code == 503
    assert said.startswith("worker silent for 31 s")
    assert "judge" not in said


def test_pictures_come_as_png_and_svg_by_coordinates(show):
    place = f"{show.server.url}/pictures/{KEPT.topic}/{KEPT.partition}/{KEPT.offset}/{KEPT.row}"
    for kind, start in (("png", b"\x89PNG"), ("svg", b"<svg")):
        reply = requests.get(f"{place}.{kind}?theme=dark", timeout=5)
        assert reply.content.startswith(start)
        assert "max-age" in reply.headers["Cache-Control"]


@pytest.mark.parametrize(
    "path",
    [
        "/pictures/calo.showers.v1/3/99999/0.png",  # not kept
        "/pictures/calo.showers.v1/3/9210/0.gif",
        "/pictures/calo.showers.v1/3/9210/0.svg?theme=pink",
        "/pictures/../../../etc/passwd",
        "/pictures/%2e%2e/%2e%2e/etc/passwd",
        "/pictures/t/-1/0/0.png",
        "/pictures/t/1/" + "9" * 30 + "/0.png",
        "/runbooks/../../pyproject",
        "/runbooks/%2e%2e%2fgenerate",
        "/runbooks/NoSuchPage",
        "/page.py",
        "/api/",
        "//etc/passwd",
    ],
)
def test_what_is_not_there_is_a_plain_404(show, path):
    connection = requests.Session()
    request = requests.Request("GET", show.server.url).prepare()
    request.url = show.server.url + path
    reply = connection.send(request, timeout=5)
    assert (reply.status_code, reply.text) == (404, "not found\n")


@pytest.mark.parametrize("path", ["/api/state", "/act"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_nothing_can_be_changed_over_http(show, method, path):
    assert requests.request(method, f"{show.server.url}{path}", timeout=5).status_code == 501


# Acts, where a token switches them on

TOKEN = "correct horse battery"  # noqa: S105


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


def test_every_reply_forbids_scripts_and_frames_from_outside(show):
    for path in ("/", "/api/state", "/metrics", "/nothing"):
        headers = requests.get(show.server.url + path, timeout=5).headers
        assert "default-src 'self'" in headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"


def test_what_is_no_address_is_refused(show):
    host = show.server.url.removeprefix("http://")
    with socket.create_connection(host.split(":"), 10) as one:
        one.sendall(f"GET http://[ HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        assert b" 400 " in one.recv(1000)


def test_head_gives_the_headers_alone(show):
    reply = requests.head(show.server.url, timeout=5)
    assert reply.status_code == 200
    assert int(reply.headers["Content-Length"]) > 1000
    assert reply.content == b""


def test_a_worker_without_a_page_has_metrics_and_says_what_it_is():
    exposition, *_ = expositions()
    server = Server(exposition, Health())
    server.start()
    try:
        assert "A score worker" in requests.get(server.url, timeout=5).text
        assert requests.get(f"{server.url}/metrics", timeout=5).status_code == 200
        assert requests.get(f"{server.url}/api/state", timeout=5).status_code == 404
    finally:
        server.stop()


def test_runbooks_can_be_read_from_the_page(show):
    reply = requests.get(f"{show.server.url}/runbooks/hot", timeout=5)
    assert "**It means:**" in reply.text
