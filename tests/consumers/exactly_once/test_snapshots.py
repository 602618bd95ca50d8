"""Snapshots: what cannot be unpacked is no snapshot, whatever it claims, and ends nobody."""

import hashlib
from dataclasses import replace

import poison
import pytest
from memory import MemoryBroker, MemoryLog

from consumers.exactly_once.snapshots import NOTHING, Snapshots
from consumers.wire import topics

SNAPSHOTS = dict(poison.snapshots())


@pytest.mark.parametrize("name", SNAPSHOTS)
def test_what_cannot_be_unpacked_is_no_snapshot(name):
    broker = MemoryBroker()
    broker.append(topics.STATE, SNAPSHOTS[name], "chunk/0/0", 0)
    told = replace(NOTHING, chunks=(0,), sha256=hashlib.sha256(SNAPSHOTS[name]).hexdigest())
    assert Snapshots(MemoryLog(broker)).state(told) is None
