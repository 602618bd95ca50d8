"""A model that does not fit: no judge takes it beside the one in force, and the page says so."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from consumers.app import page_lines
from consumers.judge.model_orders import Unwilling, carry_out
from consumers.judge.models import JudgingModel, ModelMonitor
from consumers.judge.state import JudgeState
from consumers.wire.window_form import WindowForm
from monitor.display.standing import StreamNow
from monitor.quality.model_acts import ModelAct, ModelOrder

NEW = "ab" * 32
MISFIT = "latents: mean square of the latents 103 on the showers it was certified with"


def model(name, misfits=()):
    return JudgingModel(
        name,
        f"flux {name}",
        WindowForm((1, 1, 1), 2, 1),
        np.full((1, 3), 0.1),
        SimpleNamespace,
        misfits,
    )


def test_a_model_that_does_not_fit_does_not_come_beside_the_one_in_force():
    state = JudgeState(ModelMonitor.new(model("old")))
    act = ModelAct(ModelOrder.ANNOUNCE, NEW, "Ada", 1)
    with pytest.raises(Unwilling, match="it does not fit: latents: mean square"):
        carry_out(state, act, lambda name: model(name, (MISFIT,)), 1)
    assert state.shadow is None


def test_the_page_says_that_the_model_in_force_does_not_fit():
    state = JudgeState(ModelMonitor.new(model("old")))
    stream = StreamNow()
    assert not page_lines.lines(state, stream)["model"].worry
    state.primary = replace(state.primary, model=model("old", (MISFIT,)))
    line = page_lines.lines(state, stream)["model"]
    assert line.worry
    assert MISFIT in line.text
