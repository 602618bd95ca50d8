"""The map says how every channel stands, a byte each, and series stay few whatever the detector."""

import json
from dataclasses import replace

import numpy as np
import pytest
from channel_stream import Stream, barrel, dead
from prometheus_client import generate_latest
from standings import CHANNELS as OF_REGIONS
from standings import DETECTOR as PLAIN
from standings import alarm, standing

from monitor.detector.tree import Level
from monitor.display.channel_history import ChannelHistory
from monitor.display.channel_map import SCALES, ChannelQuality, drawn, layout
from monitor.display.metrics.exposition import Exposition
from monitor.display.metrics.judge import JudgeMetrics
from monitor.display.standing import state
from monitor.quality.alarms import ChannelShare
from monitor.reference.channel_constants import certified
from monitor.sequential.budget import Allowance
from monitor.sequential.channel_units import ChannelUnits
from monitor.sequential.channel_watch import ChannelWatch
from monitor.sequential.rates import Floors

CHANNELS = barrel((1, 2), (10, 10))
FAULTY = replace(
    alarm(), level=Level.CHANNEL, place="EB1/8", channels=(ChannelShare(7, "EB1/8", 1.0),)
)


@pytest.fixture(scope="module")
def seen():
    units = ChannelUnits(len(CHANNELS), CHANNELS.groups)
    watch = ChannelWatch(
        units, CHANNELS.region.astype(np.int64), Allowance().channels_at(units),
        square_var=np.full(3, 2.0), floors=Floors(), miscoverage=0.01, step_s=3,
    )  # fmt: skip
    history = ChannelHistory(len(CHANNELS))
    stream = Stream(CHANNELS, rate=300, dead=(7,))
    for second in range(1000, 1090):
        sums = stream.second(dead(7))
        watch.step(second, sums, new=True)
        history.add(second, sums)
    ignored = np.zeros(len(CHANNELS), bool)
    ignored[9] = True
    watch.arrange(ignored, np.zeros_like(ignored))
    return drawn(watch, certified(len(CHANNELS)), (FAULTY,), history.minutes, 1089)


def test_a_map_is_a_line_of_words_and_a_byte_a_channel(seen):
    head, _, body = seen.packed().partition(b"\n")
    told = json.loads(head)
    assert [scale["name"] for scale in told["scales"]] == [*SCALES]
    assert len(body) == (len(SCALES) + 1) * len(CHANNELS)
    quality = np.frombuffer(body[-len(CHANNELS) :], np.uint8)
    assert quality[7] == ChannelQuality.BAD
    assert quality[9] == ChannelQuality.LEFT_OUT


def test_bytes_stand_for_the_values_between_the_ends_of_a_scale(seen):
    body = seen.packed().partition(b"\n")[2]
    at = [*SCALES].index("mean latent") * len(CHANNELS)
    levels = np.frombuffer(body[at : at + len(CHANNELS)], np.uint8)
    scale, values = SCALES["mean latent"], seen.values["mean latent"]
    back = scale.low + (levels - 1.0) / 254 * (scale.high - scale.low)
    inside = np.abs(values) < 1
    np.testing.assert_allclose(back[inside], values[inside], atol=0.005)
    assert levels[7] == 1  # far below


def test_one_channel_says_its_values_alarms_and_history(seen):
    one = seen.one(7)
    assert one["quality"] == "bad"
    assert one["values"]["occupancy"] == 0
    assert [a["id"] for a in one["alarms"]] == [FAULTY.id]
    assert one["history"]["second"] == [960, 1020]
    assert seen.one(8)["alarms"] == []


def test_a_channel_that_nothing_comes_near_is_null_and_says_so():
    units = ChannelUnits(len(CHANNELS), {})
    watch = ChannelWatch(
        units, CHANNELS.region.astype(np.int64), Allowance().channels_at(units),
        square_var=np.full(3, 2.0), floors=Floors(), miscoverage=0.01, step_s=3,
    )  # fmt: skip
    found = drawn(watch, certified(len(CHANNELS)), (), (), 5)
    assert (found.quality == ChannelQuality.NULL).all()
    assert found.one(3)["tells_s"] is None
    assert found.one(3)["values"]["mean latent"] is None


def test_where_channels_lie_is_said_once_in_few_bytes():
    bytes_ = layout(CHANNELS)
    assert len(bytes_) == 19 * len(CHANNELS)
    np.testing.assert_allclose(
        np.frombuffer(bytes_, "<f4", len(CHANNELS)), CHANNELS.position[:, 0], rtol=1e-6
    )


def test_the_state_of_the_page_does_not_hold_the_map(seen):
    shown = state(replace(standing(), channel_map=seen))
    assert shown["channel_map"] is None


def lines(now):
    exposition = Exposition("1")
    metrics = JudgeMetrics(exposition, PLAIN, topic="w")
    metrics.standing(now)
    return generate_latest(exposition.registry).decode().splitlines()


def test_regions_and_faulty_channels_have_series():
    found = lines(standing(alarms=(FAULTY,), channels=OF_REGIONS))
    assert 'calodqm_channels_telling{region="B2"} 1600.0' in found
    assert 'calodqm_alarm_channel_share{channel="EB1/8",place="EB1/8"} 1.0' in found
    assert 'calodqm_alarms_open{level="channel",place="EB1/8",severity="page"} 1.0' in found


def test_series_stay_bounded_whatever_is_at_fault():
    many = tuple(ChannelShare(i, f"EB1/{i}", 0.1) for i in range(1000))
    worst = lines(standing(alarms=(replace(FAULTY, channels=many),), channels=OF_REGIONS))
    quiet = lines(standing(channels=OF_REGIONS))
    assert len(worst) - len(quiet) < 300


def test_a_detector_without_channels_has_no_such_series():
    assert not [line for line in lines(standing()) if "calodqm_channels" in line]
