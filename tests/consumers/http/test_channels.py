"""What the map of channels is asked for, over HTTP: answered, or nothing where there is nothing."""

import json
from dataclasses import replace

import numpy as np
import pytest
from channel_stream import Stream, barrel
from streams import GEOMETRY, expectation
from streams import Stream as Windows

from consumers.http.channels import ChannelPages
from consumers.http.page import Page
from monitor.detector.tree import grid
from monitor.judging.monitor import Monitor

CHANNELS = barrel((1, 4), (6, 6), card=3)
DETECTOR = replace(grid("calo", 1, 4), channels=CHANNELS)


@pytest.fixture(scope="module")
def page():
    judge = Monitor(DETECTOR, GEOMETRY, expectation(50_000, np.random.default_rng(9)))
    windows, showers = Windows(regions=4), Stream(CHANNELS, rate=50)
    for _ in range(6):
        judge.observe(replace(windows.next(), channels=showers.second()))
    made = Page(channels=ChannelPages(DETECTOR))
    made.show(judge.standing(), {})
    return made


def test_the_layout_is_told_by_an_address_that_changes_with_it(page):
    told = json.loads(page.reply("/api/channels", {}).body)
    assert told["n"] == len(CHANNELS)
    assert told["regions"] == ["A1", "A2", "A3", "A4"]
    other = ChannelPages(replace(DETECTOR, channels=barrel((1, 4), (6, 6), card=2)))
    same = json.loads(other.reply("/api/channels", {}).body)["layout"]
    assert same == told["layout"]
    smaller = ChannelPages(replace(DETECTOR, channels=barrel((1, 4), (5, 5), card=5)))
    assert json.loads(smaller.reply("/api/channels", {}).body)["layout"] != told["layout"]


def test_one_channel_is_told_by_number_and_found_by_name(page):
    number = json.loads(page.reply("/api/channels/find", {"name": [CHANNELS.name(40)]}).body)
    assert number == {"channel": 40}
    one = json.loads(page.reply("/api/channels/one", {"id": ["40"]}).body)
    assert (one["name"], one["region"]) == (CHANNELS.name(40), "A2")
    assert one["groups"] == [g for g, members in CHANNELS.groups.items() if 40 in members]


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("one", {}),
        ("one", {"id": ["-1"]}),
        ("one", {"id": ["144"]}),
        ("one", {"id": ["1" * 20]}),
        ("one", {"id": ["²"]}),
        ("find", {}),
        ("find", {"name": ["nothing"]}),
        ("else", {}),
    ],
)
def test_what_there_is_not_is_not_answered(page, path, query):
    assert page.reply(f"/api/channels/{path}", query) is None


def test_a_detector_without_channels_has_no_map():
    assert Page().reply("/api/channels", {}) is None
    with pytest.raises(ValueError, match="without channels"):
        ChannelPages(grid("calo", 1, 4))
