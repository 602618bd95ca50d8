"""Show: a page with what a judge says, and a browser before it."""

import threading
import time
from dataclasses import replace

import numpy as np
from selenium.webdriver.common.by import By
from standings import alarm, expositions, history, spectra, standing, with_quality

from consumers.http.health import Health
from consumers.http.page import Line, Page
from consumers.http.server import Server
from models.detector import files as geometries
from monitor.display.metrics.judge import JudgeRole
from monitor.display.pictures import ShowerPicture
from monitor.quality.quality import Quality

GEOMETRY = geometries.load(geometries.SHIPPED / "pb-lar-504.json")


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


def text(browser, selector):
    return browser.find_element(By.CSS_SELECTOR, selector).text


def stale(browser):
    return "stale" in browser.find_element(By.TAG_NAME, "body").get_attribute("class")


BAD = with_quality(
    standing(alarms=(alarm(),), history=history(boost=4), spectra=spectra(3.0)), B2=Quality.BAD
)
