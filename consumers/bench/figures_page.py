"""Figures' page: the tables behind the README, made of the JSON files beside them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from consumers.bench.sheets import Sheet

if TYPE_CHECKING:
    from pathlib import Path

HEAD = """\
# Figures

Made by `python deploy/generate.py` of the JSON files in this folder, each made by the command that it names. Alarms, false pages, delays, contamination and handover: [alarms.md](alarms.md). Single channels and their groups: [channels.md](channels.md). Cells that are mostly zero: [sparse.md](sparse.md). What the seed papers ask, on our showers: [papers.md](papers.md).
"""

BESIDE = """\
pi0 and muons were looked at while the model was chosen; positrons and lead were not. *Showers needed*: for a power of 0.9 at a false-alarm rate of 1e-3, by the sums of latents and the histograms of p-values. In brackets: 95 %, Clopper–Pearson.
"""


def page(folder: Path) -> str:
    """Return the page, of the JSON files in a folder."""

    def told(name: str) -> dict[str, Any]:
        read: dict[str, Any] = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        return read

    shown = told("evaluate-flux")
    parts = [HEAD, _separation(shown).markdown(), BESIDE]
    parts += [_calibration(told("calibration-flux")).markdown(), ""]
    parts += [_spread(shown, told("spread-shipped"), told("spread-own")).markdown(), ""]
    parts += [_classifier(told("classifier")).markdown(), ""]
    parts += [_rivals(told("rivals")).markdown(), ""]
    parts += [*(sheet.markdown() + "\n" for sheet in _scale(told("scale")))]
    parts += [_parts(told("parts")).markdown(), ""]
    parts += [_big(told("big")).markdown(), ""]
    parts += [_rules(told("rules")).markdown(), ""]
    return "\n".join(parts)


def combined(shown: dict[str, Any], name: str) -> dict[str, Any]:
    """Return what the combined score says of one kind of showers."""
    (found,) = [one for one in shown["anomalies"] if one["name"] == name]
    scores: dict[str, Any] = found["scores"]["combined"]
    return scores


def share(told: dict[str, Any], digits: int = 3) -> str:
    """Return a share with its interval.

    Examples
    --------
    >>> share({"value": 0.9725, "low": 0.9512, "high": 0.9861})
    '0.973 (0.951–0.986)'
    """
    low, high = told["low"], told["high"]
    value = round(told["value"] + 1e-9, digits)  # halves go up, as people round
    return f"{value:.{digits}f} ({low:.{digits}f}–{high:.{digits}f})"


def _separation(shown: dict[str, Any]) -> Sheet:
    needed = {one["name"]: one.get("needed") for one in shown["windows"]}
    rows = []
    for one in shown["anomalies"]:
        scores = one["scores"]["combined"]
        rows.append(
            (
                one["name"],
                f"{one['showers']:,}",
                f"{scores['auc']:.3f}",
                share(scores["tpr"]["0.01"]),
                share(scores["tpr"]["0.001"]),
                "–" if needed.get(one["name"]) is None else f"{needed[one['name']]:,}",
            )
        )
    good = shown["good"]
    return Sheet(
        f"One shower, and how many it takes: {good['showers']:,} held-out photons as good",
        ("showers", "n", "AUC", "TPR at FPR 1e-2", "TPR at FPR 1e-3", "showers needed"),
        tuple(rows),
        f"*`calodqm evaluate`, model {shown['model']['hash'][:12]} ({shown['model']['family']}), "
        f"seed {shown['seed']}: [evaluate-flux.json](evaluate-flux.json).*",
    )


def _calibration(shown: dict[str, Any]) -> Sheet:
    rows = []
    for one in shown["calibration"]:
        low, high = one["low_mev"], one["high_mev"]
        above = "all" if one["cell"] < 0 else f"above {low or 0:,.0f}"
        name = above if high is None else f"{low or 0:,.0f}–{high:,.0f}"
        ratios = []
        for level in ("0.1", "0.01", "0.001"):
            alpha, told = float(level), one["achieved"][level]
            scaled = {key: told[key] / alpha for key in ("value", "low", "high")}
            ratios.append(share(scaled, 2))
        rows.append((name, *ratios))
    return Sheet(
        f"Calibration: {shown['good']['showers']:,} photons that are in nothing, every mirror image",
        ("reconstructed energy, MeV", "1e-1", "1e-2", "1e-3"),
        tuple(rows),
        "Share of good showers with p ≤ α, over α. The alarms do not rely on it: the reference's "
        "uncertainty is part of every test. *`calodqm evaluate --images`: "
        "[calibration-flux.json](calibration-flux.json).*",
    )


def _spread(centred: dict[str, Any], shipped: dict[str, Any], own: dict[str, Any]) -> Sheet:
    names = [one["name"] for one in own["anomalies"]]
    both = [[combined(shown, name) for shown in (centred, own)] for name in names]
    rows = [
        (name, *(f"{one['auc']:.3f}" for one in two), *(share(one["tpr"]["0.01"]) for one in two))
        for name, two in zip(names, both, strict=True)
    ]
    (of_shipped,), (of_own,) = (
        [one["achieved"] for one in shown["calibration"] if one["cell"] < 0]
        for shown in (shipped, own)
    )
    return Sheet(
        "Photons that enter anywhere in a cell of the middle layer",
        ("showers", "AUC, centred", "AUC, spread", "TPR at FPR 1e-2, centred", "spread"),
        tuple(rows),
        "Centred: the model above on the showers that it was made for. Spread: a model of "
        "pb-lar-spread.toml, trained on photons whose impact points are even over 40 mm x 40 mm, "
        f"among {own['good']['showers']:,} others of them; pi0, mu, eplus and lead3 are centred. p ≤ 0.1, 0.01 and 0.001 have of these, by "
        f"their own model, {_shares(of_own)}; by the model of centred photons, to which they are "
        f"strange, {_shares(of_shipped)}. *The recipe's head has the command of the training; "
        "`calodqm evaluate --good models/geant4/pb-lar/gamma_spread_test.h5`: "
        "[spread-own.json](spread-own.json), [spread-shipped.json](spread-shipped.json).*",
    )


def _shares(achieved: dict[str, Any]) -> str:
    return ", ".join(share(achieved[level]) for level in ("0.1", "0.01", "0.001"))


def _classifier(shown: dict[str, Any]) -> Sheet:
    scores = shown["scores"]
    ways = ("flow", "classifier, with all", "both, with all")
    names = list(scores["flow"])
    rows = [(name, *(f"{scores[way][name]['auc']:.3f}" for way in ways)) for name in names]
    return Sheet(
        "A classifier that is taught known faults: AUC",
        ("showers", "flow", "classifier", "both"),
        tuple(rows),
        "Off by default: what it was not taught it does not see. "
        "*`calodqm bench classifier`: [classifier.json](classifier.json).*",
    )


def _rivals(shown: dict[str, Any]) -> Sheet:
    rivals = shown["rivals"]
    faults = next(iter(rivals.values()))["detection"]
    rows = []
    for name, one in rivals.items():
        found = [one["detection"][fault] for fault in faults]
        told = (f"{f['auc']:.3f} / {f['tpr at 0.01']:.2f}" for f in found)
        rows.append((name, f"{one['showers_per_cpu_s']:,.0f}", *told))
    beside = "; ".join(f"{name} {why}" for name, why in shown["not here"].items())
    return Sheet(
        "What else single showers can be scored with: AUC / TPR at FPR 1e-2",
        ("scored by", "showers a CPU second", *faults),
        tuple(rows),
        f"The same {shown['good showers']:,} held-out photons and the same faults injected into "
        f"them, on one thread, in turns; rivals learnt from {shown['learnt from']:,} showers of "
        "the training. A loop of zuko gives one number a shower; ours also p-values and the "
        f"latents of all cells. {beside}. *`calodqm bench rivals`: [rivals.json](rivals.json).*",
    )


def _scale(shown: dict[str, Any]) -> tuple[Sheet, Sheet]:
    source = "*`calodqm bench scale`: [scale.json](scale.json).*"
    measured = [
        (
            str(one["workers"]),
            f"{one['showers_per_s']:,}",
            f"{one['efficiency']:.2f}",
            f"{one['modelled_per_s']:,}",
            f"{one['cpu_us']:.0f}",
            f"{one['beside_scoring_us']:.0f}",
        )
        for one in shown["measured"]
    ]
    sized = [
        (
            f"{one['rate_hz']:,.0f}",
            *(f"{one[key]:,}" for key in ("cores", "partitions")),
            *(f"{one[key]:,g}" for key in ("mb_per_s_in", "mb_per_s_out", "windows_mb_per_s")),
        )
        for one in shown["sizing"]
    ]
    columns = ("workers", "showers/s", "efficiency", "by the model", "CPU µs", "of it not scoring")
    larger = ("showers/s", "cores", "partitions", "MB/s in", "MB/s out", "windows, MB/s")
    return (
        Sheet(
            f"Workers over partitions, {shown['cores']} cores with the broker and the producer on them",
            columns,
            tuple(measured),
            f"{shown['offered_per_s']:,.0f} showers/s were offered; load {shown['load']} before: "
            "cores that are shared with others are not what the model has. CPU is of a shower, of "
            f"workers and judge. {source}",
        ),
        Sheet(
            "What larger rates need: 256 regions of 504 cells, three copies of each topic",
            larger,
            tuple(sized),
            "Modelled, by the costs of `calodqm plan`. GPUs take over scoring alone: how many, no "
            "card was there to say. A judge is one process: it was run with 1,024 regions of 504 "
            f"cells and 10,000 of 25. {source}",
        ),
    )


def _parts(shown: dict[str, Any]) -> Sheet:
    us = shown["us"]
    judged = f"judge, {shown['judged_regions']} regions, {shown['judged_hz']:,} showers/s"
    rows = (
        (
            "matrix products of the model alone, zeros too",
            f"{us['whole_products']:.1f} µs a shower",
        ),
        ("matrix products of the scorer alone", f"{us['products']:.1f} µs a shower"),
        *(
            (
                name,
                (
                    f"{us[key]:.1f} µs a shower, {shown[f'{key}_over_products']:.2f} times these, "
                    f"{shown[f'{key}_over_whole_products']:.2f} with zeros"
                ),
            )
            for key, name in (("scorer", "scorer"), ("compiled_scorer", "scorer, compiled"))
            if key in us
        ),
        *((f"tally, {n:,} regions", f"{us[f'tally_{n}']:.1f} µs a shower") for n in (16, 4096)),
        (judged, f"{shown['judge_ms']:.1f} ms a data-second"),
    )
    return Sheet(
        "What the parts cost, CPU time of one thread",
        ("part", "cost"),
        rows,
        f"{shown['showers']:,} showers at once; the judge is itself tested. Medians of five, turn and "
        f"turn about, the judge's a mean; load {shown['load']} before. Where the CPU time of a service "
        "under load goes: [flame.svg](flame.svg) (`calodqm bench flame`), and as it went while NumPy's "
        "idle threads spun (*native thread*) and nothing was compiled: "
        "[flame-before.svg](flame-before.svg). *`calodqm bench parts`: [parts.json](parts.json).*",
    )


def _big(shown: dict[str, Any]) -> Sheet:
    sizes = shown["sizes"]
    steps = tuple(sizes[0]["steps"])
    rows = tuple(
        (
            f"{one['cells']:,}",
            f"{one['unlit cells']:.0%}",
            f"{one['weights']:,}",
            *(f"{one['steps'][step]['cpu_s']:.1f} / {one['steps'][step]['peak_mib']:,}" for step in steps),
        )
        for one in sizes
    )  # fmt: skip
    return Sheet(
        "Models of very many cells: CPU seconds / largest memory, MiB",
        ("cells", "of them unlit in a shower", "weights", *steps),
        rows,
        "Whole commands, each in a process of its own with all that it loads, on one thread: showers "
        "drawn from a mean shape in polar layers, a flux of one layer of 64 hidden units a block. *`calodqm bench big`: [big.json](big.json).*",
    )


def _rules(shown: dict[str, Any]) -> Sheet:
    rows = []
    for name, one in shown["setups"].items():
        every = {group["every_s"] for group in one["groups"].values()}
        parts = (
            sum(5 * g["cpu_s"] / s for g in one["groups"].values() if g["every_s"] == s)
            for s in sorted(every)
        )
        total = one["cpu_s_per_5_s"]
        rows.append((name, f"{one['series']:,}", f"{total:.2f}", *(f"{p:.3f}" for p in parts)))
    return Sheet(
        "What the Prometheus rules cost: CPU seconds for five seconds of evaluations",
        ("exported by", "series that rules read", "all", "each 5 s", "each minute", "each 5 min"),
        tuple(rows),
        f"Prometheus {shown['prometheus']}, one core of the machine above, each expression asked as a "
        "query. Beyond 256 regions series are kept by sector: 1,024 regions have 33 labels. What "
        "looks back hours was asked about some of the workers and scaled. *`make cost`: "
        "[rules.json](rules.json).*",
    )
