"""What a judge begins with."""

import pytest
from memory import CountingMonitor, MemoryBroker, MemoryLog, MemorySink
from stage import DETECTOR, FIRST, MODELS, SECOND

from consumers.exactly_once.snapshots import Snapshots
from consumers.judge.models import JudgingModel
from consumers.judge.revival import Revival
from consumers.judge.settings import JudgeSettings
from consumers.wire import control
from consumers.wire.artefact_form import ModelAbsent
from consumers.wire.control import Control
from consumers.wire.letters import Unsent
from consumers.wire.record import Unavailable


@pytest.fixture
def broker():
    return MemoryBroker()


def revival(broker, *there):
    log = MemoryLog(broker)

    def judging_model_of(model):
        if model not in there:
            raise ModelAbsent(f"model {model[:12]} is not there")
        form, rate = MODELS[model].form, MODELS[model].expected_rate
        return JudgingModel(model, model, form, rate, lambda: CountingMonitor(DETECTOR))

    return Revival(judging_model_of, log, Snapshots(log), Unsent(), JudgeSettings("j", FIRST, "f"))


def test_a_judge_that_cannot_read_the_model_in_force_waits_and_judges_by_no_other(broker):
    control.publish(MemorySink(broker), Control(0, SECOND, SECOND))
    with pytest.raises(Unavailable, match="judging waits for it"):
        revival(broker, FIRST).revived()
    state, _ = revival(broker, FIRST, SECOND).revived()
    assert state.primary.model.hash == SECOND


def test_a_shadow_that_cannot_be_had_is_said_and_judging_goes_on(broker, caplog):
    made = revival(broker, FIRST)
    state = made._anew((FIRST, FIRST, SECOND))
    assert state.shadow is None
    assert "is not there" in caplog.text
