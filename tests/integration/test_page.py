"""The live page in a real browser: what it says, when it is stale, and that nothing can break it."""

import time
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from chromium import chromium
from selenium.webdriver.common.by import By
from show import BAD, Show, stale, text
from standings import SECOND, alarm, standing, with_quality
from waiting import wait_until

from monitor.display.metrics.judge import JudgeRole
from monitor.display.standing import Acknowledged
from monitor.quality.quality import Quality
from monitor.quality.run_acts import RunNow


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


def warned(browser, words, seconds=20):
    wait_until(lambda: stale(browser) and words in text(browser, "#stale"), seconds)


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
    wait_until(lambda: text(page, "#alarms") == "No open alarm: nothing to do.")
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
    assert text(page, "#headline") == f"In hand: {alarm().summary}"
    assert page.title == "In hand · calodqm"
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
