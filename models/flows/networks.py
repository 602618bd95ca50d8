"""Networks: how those of all families begin."""

from __future__ import annotations

import torch
from torch import nn


def calm(network: nn.Module) -> None:
    """Begin near the identity: make the weights of the last linear layer small."""
    last = [layer for layer in network.modules() if isinstance(layer, nn.Linear)][-1]
    with torch.no_grad():
        last.weight.mul_(0.1)
        last.bias.zero_()
