"""Report: the plots and figures of an evaluation as one HTML page that stands alone."""

from __future__ import annotations

import base64
import html
import io
from typing import TYPE_CHECKING

from models.scoring.measures import FPR
from models.studies.power import FALSE_ALARMS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.figure import Figure

    from models.studies.evaluation import Row
    from models.studies.power import Curve


def write(
    directory: Path,
    plots: Mapping[str, Figure],
    title: str,
    facts: Mapping[str, str],
    rows: Sequence[Row],
    curves: Sequence[Curve],
) -> Path:
    """Write every plot as PNG and the page `report.html` that holds them all; return the page."""
    directory.mkdir(parents=True, exist_ok=True)
    images = []
    for name, figure in plots.items():
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png")
        (directory / f"{name}.png").write_bytes(buffer.getvalue())
        data = base64.b64encode(buffer.getvalue()).decode("ascii")
        images.append(f'<img alt="{name}" src="data:image/png;base64,{data}">')
    page = directory / "report.html"
    page.write_text(_page(title, facts, _table(rows, curves), images), encoding="utf-8")
    return page


def _table(rows: Sequence[Row], curves: Sequence[Curve]) -> str:
    needed = {curve.name: curve for curve in curves}
    lines = []
    for row in rows:
        combined = row.scores["combined"]
        best = max((n for n in row.scores if n != "combined"), key=lambda n: row.scores[n].auc)
        curve = needed.get(row.name)
        cells = [
            html.escape(row.name),
            str(row.showers),
            f"{combined.auc:.3f}",
            *(
                f"{r.value:.3f} <small>{r.low:.3f} to {r.high:.3f}</small>"
                for r in (combined.tpr[level] for level in FPR)
            ),
            f"{combined.sic[FPR[0]]:.1f}",
            row.one_shower,
            f"{html.escape(best)} {row.scores[best].auc:.3f}",
            window(curve) if curve is not None else "",
        ]
        lines.append("<tr><td>" + "</td><td>".join(cells) + "</td></tr>")
    head = [
        "anomaly",
        "showers",
        "AUC",
        *(f"TPR at FPR {level:g}" for level in FPR),
        f"SIC at {FPR[0]:g}",
        "seen in one shower",
        "best single score, AUC",
        "window for power 0.9",
    ]
    return f"<table><tr><th>{'</th><th>'.join(head)}</th></tr>{''.join(lines)}</table>"


def window(curve: Curve) -> str:
    """Return in words how many showers a window needs to find an anomaly nine times in ten."""
    if curve.needed is not None:
        return str(curve.needed)
    return f"> {max(curve.sizes)}" if curve.sizes else "too few showers"


def _page(title: str, facts: Mapping[str, str], table: str, images: Sequence[str]) -> str:
    items = "".join(f"<dt>{html.escape(k)}</dt><dd>{html.escape(v)}</dd>" for k, v in facts.items())
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title><style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 1200px; margin: 2em auto; padding: 0 1em }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums }}
th, td {{ text-align: right; padding: .25em .7em; border-bottom: 1px solid #ddd; white-space: nowrap }}
th {{ white-space: normal; vertical-align: bottom }} td:first-child, th:first-child {{ text-align: left }}
small {{ color: #666 }} img {{ max-width: 100%; display: block; margin: 2em 0 }}
dl {{ display: grid; grid-template-columns: max-content 1fr; gap: 0 1em }} dt {{ color: #666 }}
dd {{ margin: 0 }}
</style></head><body><h1>{html.escape(title)}</h1><dl>{items}</dl>
<p>Rates have 95 % Clopper-Pearson intervals; cuts are taken from the good showers of this
evaluation. Windows: number of showers with which the sums of latents, of their squares, or the
histograms of the p-values show the anomaly in nine windows of ten, at one false alarm in
{1 / FALSE_ALARMS:.0f} windows.</p>
{table}{"".join(images)}</body></html>
"""
