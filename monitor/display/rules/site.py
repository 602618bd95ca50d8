"""Site: what the rules must know of the place that they watch."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

JOB = 'job="calodqm"'
"""As the rules are written; a site may have another selector."""

PAGE = "{{ $externalLabels.page_url }}"
GRAFANA = "{{ $externalLabels.grafana_url }}"


@dataclass(frozen=True, slots=True)
class Expected:
    """Processes of a detector that should be there."""

    workers: int = 1
    judges: int = 1

    def __post_init__(self) -> None:
        if self.workers < 1 or self.judges < 1:
            raise ValueError("a detector that is watched has a worker and a judge at least")


@dataclass(frozen=True, slots=True)
class Site:
    """Links, selector and expectations; `site.toml` says what each is."""

    page_url: str = ""
    grafana_url: str = ""
    selector: str = JOB
    beam: str = ""
    kafka_disk: str = ""
    showers_kept_h: float = 48.0
    detectors: Mapping[str, Expected] = field(default_factory=lambda: {"calo": Expected()})

    @classmethod
    def load(cls, path: Path) -> Site:
        """Return what a file says; an unknown key is a mistake."""
        told = tomllib.loads(path.read_text(encoding="utf-8"))
        detectors = {name: Expected(**of_it) for name, of_it in told.pop("detectors").items()}
        return cls(**told, detectors=detectors)

    def placed(self, text: str) -> str:
        """Return an expression or an annotation as this site needs it."""
        for written, wanted in (
            (JOB, self.selector),
            (PAGE, self.page_url.rstrip("/")),
            (GRAFANA, self.grafana_url.rstrip("/")),
        ):
            text = text.replace(written, wanted or written)
        return text
