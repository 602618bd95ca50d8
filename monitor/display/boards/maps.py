"""Maps: regions, cells and latents over time, p-values beside their references."""

from __future__ import annotations

from monitor.display.boards.panels import BAD, HERE, MEDIUM, REGION, Json, Layout, query, steps

# A deviation has two directions, and blue and orange are told apart by everybody.
FEW, LOW, EVEN, HIGH = "#2b6cb0", "#b4cbe4", "#d9dee3", "#f4d9b8"
HISTORY: Json = {
    "showValue": "never",
    "rowHeight": 0.9,
    "colWidth": 1,
    "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
    "tooltip": {"mode": "single", "sort": "none"},
}
REFERENCE = f'max by (group) (calodqm_reference_latent_{{moment}}{{{{{HERE},origin!="live"}}}})'


def history(
    layout: Layout, title: str, size: tuple[int, int], target: Json, **more: object
) -> None:
    """Add a map over time: a row a series, a coloured cell a moment."""
    layout.add(
        "status-history", title, size, target, options=HISTORY,
        custom={"lineWidth": 0, "fillOpacity": 85}, color={"mode": "thresholds"}, **more,
    )  # fmt: skip


def region_map(layout: Layout, size: tuple[int, int]) -> None:
    """Add how strange every region has been, over time."""
    history(
        layout, "Map of the regions: strange showers over expected", size,
        query(f'region:calodqm_anomaly_burn:ratio_rate1m{{{REGION},level="0.01"}}', "{{region}}"),
        text="p ≤ 0.01, over a minute. Grey: as expected. One row that lights up is a fault of one "
        "region; all rows at once are conditions, model or reference.",
        unit="none", decimals=1,
        thresholds=steps((None, FEW), (0.1, LOW), (0.4, EVEN), (1.8, HIGH), (3, MEDIUM), (10, BAD)),
    )  # fmt: skip


def cell_map(layout: Layout, size: tuple[int, int]) -> None:
    """Add which cells carried the evidence of open alarms, over time."""
    history(
        layout, "Cells that carry the open alarms", size,
        query(f"max by (place, cell) (calodqm_alarm_cell_ratio{{{HERE}}})", "{{place}} {{cell}}"),
        text="Share of each cell in the evidence of its alarm: the eight strongest cells of the "
        "eight strongest alarms. Empty while no alarm is open.", noValue="No open alarm is told",
        unit="percentunit", decimals=0,
        thresholds=steps((None, EVEN), (0.05, HIGH), (0.2, MEDIUM), (0.5, BAD)),
    )  # fmt: skip


def _matrix(row: str, column: str) -> list[Json]:
    return [
        {
            "id": "groupingToMatrix",
            "options": {
                "rowField": row,
                "columnField": column,
                "valueField": "Value",
                "emptyValue": "null",
            },
        },
        {"id": "sortBy", "options": {"fields": {}, "sort": [{"field": f"{row}\\{column}"}]}},
    ]


def _table(
    layout: Layout,
    title: str,
    size: tuple[int, int],
    target: Json,
    by: tuple[str, str],
    **more: object,
) -> None:
    row, column = by
    custom = {
        "cellOptions": {"type": "color-background", "mode": "basic"},
        "align": "center",
        "minWidth": 60,
    }
    layout.add(
        "table", title, size, target, options={"showHeader": True, "cellHeight": "sm"},
        custom=custom, color={"mode": "thresholds"}, unit="none", transformations=_matrix(row, column),
        overrides=[
            {
                "matcher": {"id": "byName", "options": f"{row}\\{column}"},
                "properties": [
                    {"id": "custom.cellOptions", "value": {"type": "auto"}},
                    {"id": "custom.width", "value": 130},
                    {"id": "unit", "value": "string"},
                ],
            }
        ], **more,
    )  # fmt: skip


def latent_map(layout: Layout, size: tuple[int, int], moment: str) -> None:
    """Add a table of regions and groups of latents: how far a moment is from the reference's."""
    seen = f"max by (region, group) (calodqm_latent_{moment}{{{REGION}}})"
    reference = REFERENCE.format(moment=moment)
    spread = moment == "square"
    sign = "/" if spread else "-"
    _table(
        layout,
        "Mean square of the latents, over the reference's" if spread
        else "Mean of the latents, less the reference's",
        size,
        query(f"{seen} {sign} on (group) group_left () {reference}", form="table", now=True),
        text="By region and group of latents, last half minute of data, certified reference. "
        + ("1 is as expected; more is noise or trips, less is dead cells."
           if spread else "0 is as expected; a shift of one whole group is gain or pedestal."),
        decimals=3,
        thresholds=steps((None, FEW), (0.8, LOW), (0.9, EVEN), (1.1, HIGH), (1.25, MEDIUM), (1.6, BAD))
        if spread
        else steps((None, FEW), (-0.3, LOW), (-0.1, EVEN), (0.1, HIGH), (0.2, MEDIUM), (0.5, BAD)),
        by=("region", "group"),
    )  # fmt: skip


def moments(layout: Layout, size: tuple[int, int]) -> None:
    """Add the latents' moments over time: all of a region together, and each group's worst."""
    layout.lines(
        "⟨z²⟩/D by region, beside the model's card", size,
        query(f"max by (region) (calodqm_latent_square_overall{{{REGION}}})", "{{region}}"),
        query(f"max by (origin) (calodqm_reference_latent_square_overall{{{HERE}}})",
              "{{origin}} reference", "B"),
        query(f"max by (sample) (calodqm_model_latent_square{{{HERE}}})", "card, {{sample}}", "C"),
        text="Mean square over all latents. All regions off the card's figure by the same amount: "
        "the conditions are not those that the model was trained on.",
        unit="none", decimals=3,
    )  # fmt: skip
    layout.lines(
        "Latents off the reference: the worst region of each group", size,
        query(f"max by (group) (abs(calodqm_latent_mean{{{REGION}}} - on (group) group_left () "
              f"{REFERENCE.format(moment='mean')}))", "{{group}}"),
        text="Largest mean of a group of latents, less the certified reference's, in standard "
        "deviations. The floor of the tests is 0.03.",
        unit="none", min=0,
        thresholds=steps((None, "transparent"), (0.1, MEDIUM), (0.3, BAD)),
        custom={"thresholdsStyle": {"mode": "line"}},
    )  # fmt: skip


def spectra(layout: Layout) -> None:
    """Add the p-values of now: the combined one beside its references, and every score's."""
    _table(
        layout, "P-values: seen, live and certified reference, flat = 1", (24, 6),
        query(f'max by (of, p) (calodqm_p_density{{{HERE},score="combined"}})',
              form="table", now=True),
        text="Density of the combined p-value in bins up to the edge named: 1 everywhere if the "
        "spectrum is flat. Ten minutes of data, all regions.",
        decimals=2, thresholds=DENSITY, by=("of", "p"),
    )  # fmt: skip
    _table(
        layout, "P-values of every score, flat = 1", (24, 14),
        query(f'max by (score, p) (calodqm_p_density{{{HERE},of="seen"}})', form="table", now=True),
        text="Which score sees it: density of each score's p-value in bins up to the edge named.",
        decimals=2, thresholds=DENSITY, by=("score", "p"),
    )  # fmt: skip


DENSITY = steps((None, FEW), (0.5, LOW), (0.8, EVEN), (1.25, HIGH), (2, MEDIUM), (5, BAD))
