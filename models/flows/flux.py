"""Flux: a conditional autoencoder, and a conditional masked autoregressive flow over its latents and residuals.

After Fanelli, Giroux and Papandreou, arXiv:2204.08609 (MLST 3 045012): the autoencoder takes up
what the cells of a shower have in common (depth, width, ...), the flow what is left.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch
import zuko
from torch import Tensor, nn

from models.flows.flux_evaluation import FluxEvaluation
from models.flows.hurdle import HALF_LOG_2PI, Hurdle, hidden
from models.flows.interface import Features, Phase, Sparse
from models.flows.networks import Autoregressive, calm
from models.flows.sparse_evaluation import SparseEvaluation

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from models.flows.interface import FlowOutput
    from models.flows.shapes import FluxConfig


CODER_GAIN = 1e-3
"""An epoch of the autoencoder that gains less than this share counts as none: where cells are mostly
empty there is little to gain, and what it leaves is the flow's anyway."""


class Flux(nn.Module):
    """The two networks; see `models.flows.interface.Flow`.

    The flow is one affine transformation on purpose. A spline on top of it raises log p by three
    nats and *lowers* the power of every score: it brings what is strange back into the bulk.
    """

    family = "flux"
    stages = ("layers", "code", "cells")
    reconstructs = True

    latent_mean: Tensor
    latent_scale: Tensor

    def __init__(self, config: FluxConfig) -> None:
        super().__init__()
        self.shape, self.dense = config, False
        c, v, m, h = config.n_context, config.n_cells, config.latents, config.coder_hidden
        self.encoder = nn.Sequential(nn.Linear(v + c, h), nn.SiLU(), nn.Linear(h, m))
        self.decoder = nn.Sequential(nn.Linear(m + c, h), nn.SiLU(), nn.Linear(h, v))
        self.register_buffer("latent_mean", torch.zeros(m))
        self.register_buffer("latent_scale", torch.ones(m))
        if config.sparse:
            self.hurdle = Hurdle(config.order, config.hurdles, c, config.hidden)
            return
        autoregressive = Autoregressive(config.order, c, config.hidden)
        calm(autoregressive.hyper)
        self.flow = zuko.flows.Flow(
            [autoregressive],
            zuko.lazy.UnconditionalDistribution(
                zuko.distributions.DiagNormal,
                torch.zeros(config.width),
                torch.ones(config.width),
                buffer=True,
            ),
        )

    def load_state_dict(self, state_dict: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Take weights: those of 0.1.0 have masks of their own, whose units are in another order."""
        masks = {name: old for name, old in self.named_buffers() if name.endswith(".mask")}
        pairs = [(old, state_dict[name]) for name, old in masks.items() if name in state_dict]
        self.dense = not all(torch.equal(old, new.to(old.device)) for old, new in pairs)
        return super().load_state_dict(state_dict, *args, **kwargs)

    @property
    def config(self) -> dict[str, Any]:
        """Return the fields of its `FluxConfig`, as JSON values."""
        fields = asdict(self.shape)
        return fields if self.shape.sparse else {k: v for k, v in fields.items() if k != "sparse"}

    def phases(self) -> tuple[Phase, ...]:
        """Return the two parts of a fit: the autoencoder, then the flow."""
        coder = [*self.encoder.parameters(), *self.decoder.parameters()]
        return (
            Phase("autoencoder", lambda _: None, coder, self._coder_loss, least_gain=CODER_GAIN),
            Phase("flow", self._standardise, self._of_flow(), self._flow_loss, self.shape.width),
        )

    def _of_flow(self) -> list[nn.Parameter]:
        return list((self.hurdle if self.shape.sparse else self.flow).parameters())

    def _coder_loss(self, features: Features) -> Tensor:
        code = self.encoder(torch.cat([features.cells, features.conditions], 1))
        again = self.decoder(torch.cat([code, features.conditions], 1))
        loss: Tensor = (features.cells - again).square().mean(1)
        return loss

    @torch.no_grad()
    def _standardise(self, features: Features) -> None:
        code = self.encoder(torch.cat([features.cells, features.conditions], 1))
        self.latent_mean.copy_(code.mean(0))
        self.latent_scale.copy_(code.std(0).clamp_min(1e-6))
        if self.shape.sparse:
            self.hurdle.begin(*self._sparse(features, self._flat(features)))

    def _flow_loss(self, features: Features) -> Tensor:
        flat = self._flat(features)
        if self.shape.sparse:
            floor, draws = self._sparse(features, flat)
            return -self.hurdle.log_prob(flat, floor, draws, features.conditions).sum(1)
        nll: Tensor = -self._density(features.conditions).log_prob(flat)
        return nll

    def _sparse(self, features: Features, flat: Tensor) -> Sparse:
        """Return floors and draws of the dimensions of the flow that may be unlit."""
        return hidden(features, self.shape.sparse, flat[:, self.shape.hurdles])

    def _density(self, conditions: Tensor) -> zuko.distributions.NormalizingFlow:
        return self.flow(conditions)

    def _flat(self, features: Features) -> Tensor:
        """Return layers 1 to L - 1, latents and residuals side by side, shape (N, width)."""
        with torch.no_grad():
            code = self.encoder(torch.cat([features.cells, features.conditions], 1))
            again = self.decoder(torch.cat([code, features.conditions], 1))
            standard = (code - self.latent_mean) / self.latent_scale
            return torch.cat([features.layers[:, 1:], standard, features.cells - again], 1)

    def log_prob(self, features: Features) -> Tensor:
        """Return log p of the layers, the code and the cells, nats, shape (N, 3)."""
        return self._stages(self._forward(features)[0])

    def latent(self, features: Features) -> Tensor:
        """Return the latents, shape (N, D): cells, the response, layers 1 to L - 1."""
        return self._arrange(self._forward(features)[1], features)

    def _forward(self, features: Features) -> tuple[Tensor, Tensor]:
        """Return log p and latent of every dimension of the flow, shape (N, width) each."""
        flat = self._flat(features)
        if self.shape.sparse:
            sparse = self._sparse(features, flat)
            terms, latents = self.hurdle(flat, *sparse, features.conditions)
            return terms, latents
        (affine,) = self.flow.transform.transforms
        latents, log_scale = affine.meta(features.conditions, flat).base.call_and_ladj(flat)
        return log_scale - 0.5 * latents.square() - HALF_LOG_2PI, latents

    def _stages(self, terms: Tensor) -> Tensor:
        head = self.shape.n_layers - 1
        code = head + self.shape.latents
        parts = (terms[:, :head], terms[:, head:code], terms[:, code:])
        return torch.stack([part.sum(1) for part in parts], 1)

    def _arrange(self, latents: Tensor, features: Features) -> Tensor:
        head = self.shape.n_layers - 1
        code = head + self.shape.latents
        return torch.cat([latents[:, code:], features.layers[:, :1], latents[:, :head]], 1)

    @torch.no_grad()
    def sample(
        self, conditions: Tensor, generator: torch.Generator, floor: Tensor | None = None
    ) -> Features:
        """Return one generated shower for each row of the conditions, the response included."""
        head = self.shape.n_layers - 1
        code = head + self.shape.latents
        n = len(conditions)
        z = torch.randn(n, self.shape.width, generator=generator, device=conditions.device)
        sparse = None
        if floor is None:
            flat = self.flow(conditions).transform.inv(z)
        else:
            flat, sparse = self._unlit(z, floor, conditions)
        standard = flat[:, head:code] * self.latent_scale + self.latent_mean
        cells = flat[:, code:] + self.decoder(torch.cat([standard, conditions], 1))
        response = torch.randn(n, 1, generator=generator, device=conditions.device)
        return Features(cells, torch.cat([response, flat[:, :head]], 1), conditions, sparse)

    def _unlit(self, z: Tensor, floor: Tensor, conditions: Tensor) -> tuple[Tensor, Sparse]:
        """Return generated dimensions of the flow, and which layers and cells are lit."""
        head, at = self.shape.n_layers - 1, list(self.shape.sparse)
        code = head + self.shape.latents
        # The code comes before all cells, and floors of residuals are below what it stands for.
        first, _ = self.hurdle.inverse(z, floor[:, at], conditions)
        standard = first[:, head:code] * self.latent_scale + self.latent_mean
        expected = self.decoder(torch.cat([standard, conditions], 1))
        below = torch.cat([floor[:, :head], floor[:, head:] - expected], 1)
        flat, lit = self.hurdle.inverse(z, below[:, at], conditions)
        draws = torch.ones_like(floor)
        draws[:, at] = torch.where(lit, 1.0, 0.5)
        return flat, Sparse(floor, draws)

    def compiled(self) -> Callable[[Features], FlowOutput]:
        """Return the fast evaluation of the weights as they are now."""
        standard = self.latent_mean, self.latent_scale
        if self.shape.sparse:
            network = self.hurdle.network
            return SparseEvaluation(self.shape, self.encoder, self.decoder, standard, network)
        (affine,) = self.flow.transform.transforms
        coders = self.encoder, self.decoder
        return FluxEvaluation(self.shape, *coders, standard, affine.hyper, dense=self.dense)
