"""Judge settings: how a judge judges, with their meaning for people."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from monitor.judging.settings import MonitorSettings
from monitor.reference.live import LiveSettings
from monitor.sequential.budget import Allowance
from monitor.sequential.rates import Floors

_FLOORS, _LIVE, _MONITOR = Floors(), LiveSettings(), MonitorSettings()


class Judgement(BaseModel):
    """How often a judge may be wrong, what it tolerates and what it learns from."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    budget_days: float = Field(default=30.0, gt=0)
    """days of data-taking for which one false page is allowed, over the whole detector"""

    warning_days: float = Field(default=1.0, gt=0)
    """days of data-taking for which one false warning is allowed; at most those of a page"""

    min_showers: int = Field(default=_MONITOR.min_showers, ge=1)
    """a region with fewer showers in a lumisection gets no verdict but NULL"""

    floor_tail: float = Field(default=float(_FLOORS.tail), ge=0, le=1)
    """relative error of the probability of a strange shower that is no fault"""

    floor_density: float = Field(default=_FLOORS.density, ge=0, le=1)
    """relative error of the density of p-values that is no fault"""

    floor_mean: float = Field(default=float(_FLOORS.mean), ge=0, le=5)
    """shift of the mean of a latent, in its standard deviations, that is no fault"""

    floor_spread: float = Field(default=float(_FLOORS.spread), ge=0, le=1)
    """relative error of the mean square of a latent that is no fault"""

    floor_lit: float = Field(default=float(_FLOORS.lit), ge=0, le=1)
    """relative error of how often a cell is lit that is no fault"""

    floor_unscored: float = Field(default=_FLOORS.unscored, gt=0, lt=1)
    """fraction of showers without a finite score that is no fault"""

    floor_share: float = Field(default=_FLOORS.share, gt=0, lt=1)
    """part of its usual share of all showers with which a place does not lack any"""

    floor_crowd: float = Field(default=_FLOORS.crowd, ge=1)
    """times its usual share of all showers, beside the others, that are not too many"""

    live: bool = _LIVE.enabled
    """whether the judge learns from the stream what is usual; without, the certified reference is
    all that it has"""

    quarantine_s: int = Field(default=_LIVE.quarantine_s, ge=0, le=86_400)
    """data-seconds without an alarm in a region before its showers are believed, s"""

    subtract_s: int = Field(default=_LIVE.horizon_s, ge=0, le=86_400)
    """data-seconds for which what is believed can still be taken out when an alarm goes back, s"""

    def monitor_settings(
        self, model: str, score_names: tuple[str, ...], software: str
    ) -> MonitorSettings:
        """Return the settings of a monitor for a model."""
        return MonitorSettings(
            allowance=Allowance(self.budget_days, self.warning_days),
            floors=Floors(
                tail=self.floor_tail,
                density=self.floor_density,
                mean=self.floor_mean,
                spread=self.floor_spread,
                lit=self.floor_lit,
                unscored=self.floor_unscored,
                share=self.floor_share,
                crowd=self.floor_crowd,
            ),
            min_showers=self.min_showers,
            model=model,
            score_names=score_names,
            software=software,
            live=LiveSettings(
                enabled=self.live, quarantine_s=self.quarantine_s, horizon_s=self.subtract_s
            ),
        )

    def told(self) -> dict[str, tuple[str, str]]:
        """Return the value and the meaning of each setting, by its name."""
        return {
            name: (f"{getattr(self, name):g}", " ".join((field.description or "").split()))
            for name, field in Judgement.model_fields.items()
        }
