"""What to expect without masked cells is learnt aside, once, and a failure is said in words."""

import logging

import numpy as np
from memory import TINY, MemoryBroker, MemorySource, PlainScorer
from waiting import wait_until

from consumers.score.model_follower import ModelFollower
from consumers.score.scoring import ScoringModel
from consumers.wire import topics
from consumers.wire.control import Control, publish
from models.showers.batch import Showers
from monitor.quality.acknowledgements import Masked


def showers(n):
    return Showers(np.ones((n, TINY.n_cells), np.float32), np.ones(n, np.float32))


class Said:
    """A follower, and a judge that says what is masked."""

    def __init__(self, good):
        self.broker = MemoryBroker()
        self.sink = self.broker.clients(MemorySource(self.broker, topics.MODELS)).sink
        self.scorer = PlainScorer()
        own = ScoringModel(self.scorer, (), np.full((1, 3), 0.1), good=good)
        self.follower = ModelFollower(own, lambda _: own)
        self.at = 0

    def mask(self, *cells):
        self.at += 1
        masked = Masked((), tuple((region, each) for region, each in enumerate(cells)))
        publish(self.sink, Control(self.at, "plain", "plain", "", masked))
        self.follower._hear(self.broker.topics[topics.MODELS, 0][-1])
        self.follower._line_up()


def test_masked_cells_are_learnt_and_those_that_are_lifted_forgotten():
    said = Said(lambda: showers(100))
    said.mask((1,), (2, 3), (1,))
    wait_until(lambda: set(said.scorer.learnt) == {(1,), (2, 3)}, 10, "both are learnt")
    said.mask((2, 3), (4,))
    wait_until(lambda: set(said.scorer.learnt) == {(2, 3), (4,)}, 10, "one is forgotten")
    assert said.follower.lineup().unlearnt() == []


def test_what_cannot_be_learnt_is_said_once_and_the_rest_is_learnt(caplog):
    sizes = iter([1, 100])
    said = Said(lambda: showers(next(sizes)))
    with caplog.at_level(logging.WARNING):
        said.mask((1,), (2, 3))
        wait_until(lambda: (2, 3) in said.scorer.learnt, 10, "the other is learnt")
        said.follower._learn_aside()
    assert [r.getMessage() for r in caplog.records] == [
        "without 1 cells: not learnt; masked, their regions stay unknown: too few distinct showers"
    ]
    assert len(said.follower.lineup().unlearnt()) == 1


def test_without_certified_showers_it_says_which_setting_names_them(caplog):
    said = Said(None)
    with caplog.at_level(logging.WARNING):
        said.mask((1,))
        wait_until(lambda: bool(caplog.records), 10, "it is said")
    assert "CALODQM_CERTIFIED" in caplog.text


def test_what_showers_lack_beside_bad_channels_is_learnt_and_kept():
    said = Said(lambda: showers(100))
    said.mask((1,))
    wait_until(lambda: (1,) in said.scorer.learnt, 10, "a masked cell is learnt")
    said.scorer.lacked = [(12,), (7, 12)]
    said.mask()
    wait_until(lambda: set(said.scorer.learnt) == {(12,), (7, 12)}, 10, "all and no other is kept")
