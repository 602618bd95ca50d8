"""Detector: the expert's view of regions and cells."""

from __future__ import annotations

from monitor.display.boards import maps
from monitor.display.boards.frame import dashboard
from monitor.display.boards.panels import (
    HERE,
    REGION,
    Json,
    Layout,
    query,
)
from monitor.display.boards.parts import burn, quality_timeline

NO_CHANNELS = "Nothing is told of read-out channels"


def detector() -> Json:
    """Return the expert's view of the regions."""
    layout = Layout()
    maps.region_map(layout, (14, 12))
    maps.cell_map(layout, (10, 12))
    quality_timeline(layout, (24, 10))
    burn(layout, (12, 9), "0.01", "5m")
    burn(layout, (12, 9), "0.001", "5m")
    maps.latent_map(layout, (12, 18), "mean")
    maps.latent_map(layout, (12, 18), "square")
    maps.moments(layout, (12, 9))
    maps.spectra(layout)
    _strangeness(layout)
    _numbers(layout)
    _trust(layout)
    _channels(layout)
    return dashboard("detector", "Detector", "Regions over time, p-values, references.", layout)


def _strangeness(layout: Layout) -> None:
    """Add how strange showers are, and how many more than expected."""
    layout.add(
        "heatmap", "How strange showers are", (12, 9),
        query(f"sum by (le) (increase(calodqm_anomaly_score_bucket{{{REGION}}}[$__rate_interval]))",
              "{{le}}", form="heatmap"),
        text="Minus log10 of the p-value. A good detector falls by ten a unit. Diamonds are single "
        "showers: click one for its picture.", unit="none",
        options={
            "calculate": False, "cellGap": 1,
            "color": {"mode": "scheme", "scheme": "Cividis", "exponent": 0.3, "steps": 64,
                      "reverse": False, "scale": "exponential", "fill": "dark-orange"},
            "exemplars": {"color": "rgba(220,50,32,0.9)"}, "filterValues": {"le": 1e-9},
            "legend": {"show": True}, "rowsFrame": {"layout": "auto"},
            "tooltip": {"mode": "single", "showColorScale": True, "yHistogram": False},
            "yAxis": {"axisPlacement": "left", "reverse": False, "unit": "none"},
        },
    )  # fmt: skip
    layout.lines(
        "Seen over expected, by level", (12, 9),
        query(f"""sum by (level) (region:calodqm_anomalous_showers:rate5m{{{REGION}}})
                  / (sum by (level) (region:calodqm_expected_anomalous_showers:rate5m{{{REGION}}}) > 0)""",
              "p ≤ {{level}}"),
        text="The p-value spectrum in three numbers: all 1 if it is flat. Only the smallest level "
        "rises with rare faults; all rise with drifts.", unit="none", min=0,
    )  # fmt: skip


def _numbers(layout: Layout) -> None:
    """Add how many showers come, and how many cannot be judged."""
    layout.lines(
        "Showers a second, by region", (12, 8),
        query(f"region:calodqm_showers_scored:rate1m{{{REGION}}}", "{{region}}"),
        text="A region that stops has stopped upstream.", unit="none", min=0,
    )  # fmt: skip
    layout.lines(
        "Showers without a finite score", (12, 8),
        query(f"sum by (region) (rate(calodqm_showers_unscored_total{{{REGION}}}[5m]))", "{{region}}"),
        query(f"sum by (region) (rate(calodqm_showers_unknown_total{{{REGION}}}[5m])) > 0",
              "{{region}}, outside of the model", "B"),
        text="Nothing, on a good day. Outside of the model: energies or conditions that it was not "
        "trained on.", unit="none", min=0,
    )  # fmt: skip


def _trust(layout: Layout) -> None:
    """Add what tells whether the monitor itself can be believed."""
    layout.lines(
        "Live reference against the certified one", (12, 8),
        query(f"max(calodqm_reference_distance{{{HERE}}})", "distance"),
        text="It grows when the live reference drifts, with or without the detector. Empty where "
        "no live reference is kept.", unit="none", min=0, noValue="No live reference is kept",
    )  # fmt: skip
    layout.lines(
        "Self-test: share of injected faults found (6 h)", (12, 8),
        query(f"""sum by (fault) (increase(calodqm_selftest_found_total{{{HERE}}}[6h]))
                  / (sum by (fault) (increase(calodqm_selftest_injected_total{{{HERE}}}[6h])) > 0)""",
              "{{fault}}"),
        text="Known faults are injected into a copy of the stream. Below 0.8 the monitor "
        "would miss real ones.", unit="percentunit", min=0, max=1,
        noValue="No self-test in these hours",
    )  # fmt: skip


def _channels(layout: Layout) -> None:
    """Add the read-out channels."""
    layout.lines(
        "Read-out channels at fault, by region", (12, 8),
        query(f"max by (region) (calodqm_channels_faulty{{{REGION}}})", "{{region}}"),
        text="Channels of open alarms, where the detector file says channels. The judge's page has "
        "their map (channels.html).", unit="none", min=0, noValue=NO_CHANNELS,
    )  # fmt: skip
    layout.lines(
        "Read-out channels of open alarms", (12, 8),
        query(f"max by (place, channel) (calodqm_alarm_channel_share{{{HERE}}})",
              "{{place}}: {{channel}}"),
        text="Share of an alarm's evidence that a channel carries. Only channels of open alarms "
        "have series.", unit="percentunit", min=0, max=1, noValue="No channel is in an open alarm",
    )  # fmt: skip
    layout.lines(
        "Read-out channels that can be told dead", (12, 8),
        query(f"""max by (region) (calodqm_channels_telling{{{REGION}}})
                  / max by (region) (calodqm_channels{{{REGION}}})""", "{{region}}"),
        text="Share of the channels with showers enough in this run. The others are neither good "
        "nor bad yet.", unit="percentunit", min=0, max=1, noValue=NO_CHANNELS,
    )  # fmt: skip
    layout.lines(
        "Read-out channels left out, and how long others must wait", (12, 8),
        query(f"max by (region) (calodqm_channels_left_out{{{REGION}}})", "{{region}}: left out"),
        query(f"max by (region) (calodqm_channels_wait_seconds{{{REGION}}})",
              "{{region}}: wait, s", ref="B"),
        text="Masked or known to be bad; and the data-seconds until half of those that cannot be "
        "told dead yet can be.", unit="none", min=0, noValue=NO_CHANNELS,
    )  # fmt: skip
