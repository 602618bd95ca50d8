"""A card that is not there: tensors without numbers that know which device they are on.

What mixes tensors of two devices fails on it as it does on a real one.
"""

from __future__ import annotations

import contextlib

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

CARD = torch.device("cuda")


@contextlib.contextmanager
def card(*modules: nn.Module):
    """Put modules on the card: their weights and buffers, and nothing else that they hold."""
    # What was made before, and is not moved, is on the CPU.
    with FakeTensorMode(allow_non_fake_inputs=True):
        for module in modules:
            _move(module)
        yield CARD


def _move(module: nn.Module) -> None:
    for part in module.modules():
        for name, weight in list(part._parameters.items()):
            if weight is not None:
                there = weight.detach().to(CARD)
                part._parameters[name] = nn.Parameter(there, weight.requires_grad)
        for name, buffer in list(part._buffers.items()):
            if buffer is not None:
                part._buffers[name] = buffer.to(CARD)
    module.to = lambda *_: module  # it is there, and torch cannot move such tensors in place
