"""The map of 61,200 crystals in a real browser: readable, zoomed to a module, down to a crystal."""

import os
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import requests
from channel_stream import Stream as Showers
from channel_stream import barrel, dead
from chromium import chromium
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select
from standings import expositions
from streams import GEOMETRY, START, Stream, expectation
from waiting import wait_until

from consumers.http.channels import ChannelPages
from consumers.http.health import Health
from consumers.http.page import Page
from consumers.http.server import Server
from models.detector.known_bad import NEVER_NS, Entry, KnownBad
from monitor.detector.tree import grid
from monitor.judging.monitor import Monitor

CHANNELS = barrel((2, 18), (85, 20), card=5)
DETECTOR = replace(grid("barrel", 2, 18), channels=CHANNELS)
DEAD, CARD, MASKED = 12 * 1700 + 33, 400, 20 * 1700 + 5
PICTURES = os.environ.get("CALODQM_TEST_PICTURES")


@pytest.fixture(scope="module")
def judge():
    """Return a monitor that has seen a dead crystal, a dead card and a crystal known to be bad."""
    known = KnownBad(CHANNELS, (Entry(CHANNELS.name(MASKED), 0, NEVER_NS, "dead since 2024"),))
    reference = expectation(50_000, np.random.default_rng(99))
    made = Monitor(replace(DETECTOR, known_bad=known), GEOMETRY, reference)
    card = CHANNELS.groups[list(CHANNELS.groups)[CARD]].tolist()
    windows, gone = Stream(regions=36, rate=2000), (DEAD, *card)
    showers = Showers(CHANNELS, rate=8_000, dead=gone)
    for _ in range(21):
        made.observe(replace(windows.next(), channels=showers.second(dead(*gone))))
    windows.second = START + 125  # two minutes on, so that there is a history
    for _ in range(3):
        made.observe(replace(windows.next(), channels=showers.second(dead(*gone))))
    windows.second = START + 190
    for _ in range(4):
        made.observe(replace(windows.next(), channels=showers.second(dead(*gone))))
    return made


@pytest.fixture(scope="module")
def server(judge):
    page = Page(channels=ChannelPages(DETECTOR), silent_s=1e6)
    standing = judge.standing()
    stop = threading.Event()

    def show():
        while not stop.wait(0.3):
            page.show(standing, {})

    page.show(standing, {})
    exposition, *_ = expositions()
    made = Server(exposition, Health(), page)
    made.start()
    thread = threading.Thread(target=show, daemon=True)
    thread.start()
    yield made
    stop.set()
    thread.join()
    made.stop()


@pytest.fixture(scope="module")
def browser():
    with chromium("--window-size=1920,1080") as driver:
        yield driver


@pytest.fixture
def page(browser, server):
    browser.get(f"{server.url}/channels.html?theme=dark")
    wait_until(lambda: text(browser, "#faulty") not in {"", "–"})
    wait_until(
        lambda: "stale" not in browser.find_element(By.TAG_NAME, "body").get_attribute("class")
    )
    yield browser
    loud = [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    assert loud == []


def text(browser, selector):
    return browser.find_element(By.CSS_SELECTOR, selector).text


def picture(browser, name):
    if PICTURES:
        browser.save_screenshot(str(Path(PICTURES) / f"{name}.png"))


def drawn(browser):
    """Return how many colours the map has, and the share of it that is drawn upon."""
    return browser.execute_script(
        "const c=document.getElementById('canvas'),d=c.getContext('2d').getImageData(0,0,c.width,"
        "c.height).data,s=new Set();let n=0;for(let i=0;i<d.length;i+=4){if(d[i+3]){n++;"
        "s.add(d[i]<<16|d[i+1]<<8|d[i+2])}}return [s.size,4*n/d.length]"
    )


def test_the_whole_barrel_is_drawn_with_its_faults_counted(page):
    assert text(page, "#n") == "61,200"
    assert text(page, "#faulty") == "26"
    colours, share = drawn(page)
    assert colours > 4
    assert share > 0.7
    picture(page, "channels-verdict")


@pytest.mark.parametrize("quantity", ["rate", "mean latent", "spread", "occupancy", "gain"])
def test_every_quantity_has_its_colours_and_its_key(page, quantity):
    Select(page.find_element(By.ID, "quantity")).select_by_visible_text(quantity)
    assert quantity in text(page, "#key-text")
    assert drawn(page)[0] > 20
    picture(page, f"channels-{quantity.replace(' ', '-')}")


def test_a_click_zooms_to_a_module_and_another_opens_a_channel(page):
    canvas = page.find_element(By.ID, "canvas")
    ActionChains(page).move_to_element_with_offset(canvas, 40, 40).click().perform()
    region = Select(page.find_element(By.ID, "region")).first_selected_option.text
    assert region != "whole detector"
    ActionChains(page).move_to_element_with_offset(canvas, 40, 40).click().perform()
    wait_until(lambda: text(page, "#one-name").startswith("EB"))
    assert region in text(page, "#one-what")
    picture(page, "channels-module")


def test_a_channel_is_found_by_its_name_with_its_alarm_and_history(page):
    name = CHANNELS.name(DEAD)
    page.find_element(By.ID, "name").send_keys(name + "\n")
    wait_until(lambda: text(page, "#one-name") == name)
    assert text(page, "#one-what").startswith("bad; channel")
    wait_until(lambda: "dead" in text(page, "#one-alarms"))
    assert len(page.find_elements(By.CSS_SELECTOR, "#one-history svg")) == 4
    picture(page, "channels-one")


def test_a_known_bad_channel_is_left_out(page):
    page.find_element(By.ID, "name").send_keys(CHANNELS.name(MASKED) + "\n")
    wait_until(lambda: text(page, "#one-what").startswith("left out"))


def test_a_name_that_does_not_exist_is_said(page):
    page.find_element(By.ID, "name").send_keys("EB-99/1\n")
    wait_until(lambda: "no channel EB-99/1" in text(page, "#one-what"))
    page.get_log("browser")  # the 404 is meant


def test_the_map_is_readable_on_a_phone(page):
    page.set_window_size(420, 900)
    page.refresh()
    wait_until(lambda: text(page, "#faulty") == "26")
    wide = page.execute_script("return document.documentElement.scrollWidth - innerWidth")
    assert wide <= 0
    picture(page, "channels-phone")
    page.set_window_size(1920, 1080)


def test_what_the_map_is_made_of_stays_small(server):
    map_ = requests.get(f"{server.url}/api/channels/map", timeout=10)
    assert len(map_.content) < 8 * len(CHANNELS)
    layout = requests.get(f"{server.url}/api/channels/layout", timeout=10)
    assert layout.headers["Cache-Control"] == "max-age=3600"
    for wrong in ("one?id=61200", "one?id=x", "one", "find?name=", "else"):
        assert requests.get(f"{server.url}/api/channels/{wrong}", timeout=10).status_code == 404
    state = requests.get(f"{server.url}/api/state", timeout=10)
    assert len(state.content) < 200_000
