"""Flame graphs: weighed by CPU time, so that what waits is not seen and what spins is."""

import threading
import time
import xml.etree.ElementTree as ET
from collections import Counter

from consumers.bench.flame import LEAST, Looks, drawn

SVG = "{http://www.w3.org/2000/svg}"


def spin(until):
    while not until.is_set():
        sum(range(1000))


def wait(until):
    until.wait()


def test_a_thread_weighs_what_it_uses(tmp_path):
    done, looks = threading.Event(), Looks(tmp_path / "stacks")
    threads = [
        threading.Thread(target=target, args=(done,), name=target.__name__)
        for target in (spin, wait)
    ]
    for thread in threads:
        thread.start()
    try:
        for _ in range(20):
            looks.look()
            time.sleep(0.02)
    finally:
        done.set()
        for thread in threads:
            thread.join()
    used = Counter({"thread spin": 0, "thread wait": 0})
    for (name, *_), ns in looks.stacks.items():
        used[name] += ns
    assert used["thread spin"] > 20_000_000
    assert used["thread wait"] < used["thread spin"] / 50
    assert any(f"{__name__}.spin" in stack for stack in looks.stacks)


def test_frames_lie_on_those_that_called_them_and_are_as_wide_as_they_cost():
    stacks = Counter({("a", "b"): 60, ("a", "c"): 30, ("d",): 10, ("d", "e"): 100 * LEAST / 2})
    root = ET.fromstring(drawn(stacks, "where <time> goes"))  # noqa: S314 - our own
    assert root.find(f"{SVG}text").text == "where <time> goes"
    found = {}
    for group in root.iter(f"{SVG}g"):
        name = group.find(f"{SVG}title").text.partition(":")[0]
        shape = group.find(f"{SVG}rect")
        found[name] = [float(shape.get(key)) for key in ("x", "y", "width")]
    assert set(found) == {"a", "b", "c", "d"}  # what is too narrow is left out
    (ax, ay, aw), (bx, by, bw), (cx, cy, cw), (dx, _, dw) = (found[name] for name in "abcd")
    assert by == cy < ay
    assert bx == ax
    assert abs(cx - bx - bw) < 1
    assert abs(bw + cw - aw) < 1
    assert abs(aw / dw - 90 / 10) < 0.3
    assert abs(dx - aw) < 1
