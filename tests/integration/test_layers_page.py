"""The map of a detector of three layers in a real browser: what is at fault is seen, all words are read."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from chromium import chromium
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select
from standings import SECOND, expositions, standing
from waiting import wait_until

from consumers.http.channels import ChannelPages
from consumers.http.health import Health
from consumers.http.page import Page
from consumers.http.server import Server
from monitor.detector import tree
from monitor.display.channel_map import SCALES, ChannelMap, ChannelQuality
from monitor.display.standing import RegionNow
from monitor.quality.quality import Quality

DETECTOR = tree.load(Path(__file__).parents[2] / "deploy" / "detectors" / "sampling.toml")
CHANNELS = DETECTOR.channels
DEAD = CHANNELS.find("S-6/middle/61")

WRITTEN = """
const said = [], pen = CanvasRenderingContext2D.prototype, real = pen.fillText;
pen.fillText = function (text, x, y) {
  const m = this.getTransform(), w = this.measureText(text).width;
  const first = { left: 0, right: -w, center: -w / 2 }[this.textAlign];
  const corners = [[x + first, y - 10], [x + first + w, y + 1]].map(([a, b]) => [m.a * a + m.c * b + m.e, m.b * a + m.d * b + m.f]);
  said.push([text, ...corners]);
  return real.call(this, text, x, y);
};
window.dispatchEvent(new Event("resize"));
pen.fillText = real;
return said;
"""
"""Returns what is written on the map, with two opposite corners of each word, in pixels."""


def map_of(*bad):
    n = len(CHANNELS)
    quality = np.zeros(n, np.uint8)
    quality[list(bad)] = ChannelQuality.BAD
    values = {name: np.full(n, scale.usual or 0.0) for name, scale in SCALES.items()}
    return ChannelMap(1000, 60, values, np.ones(n), quality, np.zeros(n), (), ())


@pytest.fixture(scope="module")
def server():
    exposition, *_ = expositions()
    page = Page(channels=ChannelPages(DETECTOR), silent_s=1e6)
    made = Server(exposition, Health(), page)
    made.start()
    yield made, page
    made.stop()


@pytest.fixture(scope="module")
def browser():
    with chromium("--window-size=1366,768", "--force-device-scale-factor=1") as driver:
        yield driver


@pytest.fixture
def page(browser, server):
    made, page = server
    page.show(standing(channel_map=map_of(DEAD)), {})
    browser.get(f"{made.url}/channels.html?theme=light")
    wait_until(lambda: browser.find_element(By.ID, "faulty").text == "1")
    return browser


def layer(browser):
    return Select(browser.find_element(By.ID, "layer")).first_selected_option.text


def test_the_layer_with_the_fault_is_shown_and_says_so(page):
    assert layer(page) == "middle (1 at fault)"


def test_a_layer_that_somebody_has_chosen_stays(page, server):
    Select(page.find_element(By.ID, "layer")).select_by_visible_text("back")
    server[1].show(standing(channel_map=map_of(DEAD, DEAD + 1)), {})
    wait_until(lambda: page.find_element(By.ID, "faulty").text == "2")
    assert layer(page) == "back"
    options = Select(page.find_element(By.ID, "layer")).options
    assert [option.text for option in options] == ["strips", "middle (2 at fault)", "back"]


@pytest.mark.parametrize("size", [(1920, 1080), (1366, 768), (900, 700)])
@pytest.mark.parametrize("region", ["whole detector", "S-6"])
def test_no_word_on_the_map_lies_on_another(page, size, region):
    page.set_window_size(*size)
    wait_until(lambda: page.execute_script("return window.innerWidth") == size[0])
    Select(page.find_element(By.ID, "region")).select_by_visible_text(region)
    written = page.execute_script(WRITTEN)
    names = [text for text, *_ in written if text.startswith(("S-", "S+"))]
    assert written
    assert len(names) >= 20 or region != "whole detector"
    boxes = [(text, np.sort([a, b], axis=0)) for text, a, b in written]
    for (one, (a, b)), (other, (c, d)) in itertools.combinations(boxes, 2):
        assert (np.minimum(b, d) <= np.maximum(a, c)).any(), (one, other)


def test_names_of_many_regions_fit_on_their_tiles(browser, server):
    made, page = server
    board = tuple(
        RegionNow(18 * s + k, f"{sector}{k + 1}", sector, Quality.BAD, "", 3_750, 90, 37.5, SECOND)
        for s, sector in enumerate(("EB-", "EB+"))
        for k in range(18)
    )
    page.show(standing(board=board), {})
    browser.set_window_size(1920, 1080)
    browser.get(f"{made.url}/?theme=dark")
    wait_until(lambda: len(browser.find_elements(By.CSS_SELECTOR, "#board .region b")) == 36)
    boxes = browser.execute_script(
        "return [...document.querySelectorAll('#board .region')].map((tile) => { const name ="
        " document.createRange(); name.selectNodeContents(tile.querySelector('b'));"
        " const a = name.getBoundingClientRect(), b = tile.getBoundingClientRect();"
        " return [tile.textContent, a.left - b.left, b.right - a.right, a.height]; })"
    )
    assert [text for text, *_ in boxes] == [str(k + 1) for _ in range(2) for k in range(18)]
    assert all(min(left, right) >= 0 and high < 20 for _, left, right, high in boxes), boxes
