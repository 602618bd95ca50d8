"""What the Prometheus rules cost: CPU seconds of a real Prometheus for five seconds of evaluations.

`make cost` writes the figures that the operator's guide shows. Not a part of `make test`: minutes.

A Prometheus is given what so many workers and judges export, six hours of it, and asked each rule's
expression as a query. Regions beyond 256 are exported by sector, as the exporter does it. Rules that
look back hours are asked about some of the workers, and what they cost is scaled: it grows with the
series.
"""

import argparse
import json
import random
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import requests
import yaml
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

from stack import Process
from standings import standing

from consumers.app.embedded import free_port
from monitor.detector.tree import grid
from monitor.display.metrics.exposition import Exposition
from monitor.display.metrics.judge import JudgeMetrics
from monitor.display.metrics.worker import WorkerMetrics

SCRAPE_S = 5
LATELY_S, LONG_S = 12 * 60, 6 * 3600 + 600
"""What is there for rules that look back minutes, and for those that look back hours."""

MOST_LONG = 160
"""Regions of workers for which the hours are there; more are scaled."""

END_S = 1_790_000_000
ASKED_S = 1.0
"""For so long a rule is asked again and again, at least thrice."""

SETUPS = {"2 workers, 16 regions": (2, 4, 4), "20 workers, 64 regions": (20, 8, 8)} | {
    "100 workers, 1,024 regions": (100, 32, 32)
}
"""Workers, sectors, regions of a sector."""


def exported(sectors, regions):
    """Return the series of a worker and of a judge: name, labels and value of each."""
    detector = grid("calo", sectors, regions)
    exposition = Exposition("cost")
    worker = WorkerMetrics(exposition, detector, topic="calo.showers.v1")
    worker.lag(0, 0, 0.2)
    judge = JudgeMetrics(exposition, detector, topic="calo.windows.v1")
    good = standing()
    board = [
        replace(good.board[0], region=r.id, name=r.name, sector=r.sector) for r in detector.regions
    ]
    judge.standing(replace(good, board=tuple(board), latents=None))
    text = generate_latest(exposition.registry).decode()
    samples = [s for family in text_string_to_metric_families(text) for s in family.samples]
    of_judge = [s for s in samples if s.name.startswith(JUDGES)]
    return [s for s in samples if s not in of_judge], of_judge


JUDGES = (
    "calodqm_alarm", "calodqm_region", "calodqm_judge", "calodqm_run_state", "calodqm_masked",
    "calodqm_selftest", "calodqm_reference", "calodqm_partitions", "calodqm_data_timestamp",
)  # fmt: skip


def history(samples, instances, seconds, step_s=SCRAPE_S):
    """Yield lines of OpenMetrics: counters that grow, gauges as they are."""
    times = range(END_S - seconds, END_S + 1, step_s)
    for name, labels, value in samples:
        for instance in instances:
            told = {"job": "calodqm", "detector": "calo", "instance": instance} | labels
            text = ",".join(f"{key}={json.dumps(str(word))}" for key, word in told.items())
            grown = float(value)
            for at in times:
                grown += 5 * random.random() if name.endswith("_total") else 0.0  # noqa: S311
                yield f"{name}{{{text}}} {grown:.2f} {at}\n"


def filled(folder, parts):
    """Let promtool make a database of parts of a history."""
    by_name = {}
    for samples, instances, seconds, step_s in parts:
        for sample in samples:
            by_name.setdefault(sample[0], []).append((sample, instances, seconds, step_s))
    path = folder / "history.om"
    with path.open("w") as out:
        for name, those in by_name.items():
            kind = "counter" if name.endswith("_total") else "gauge"
            out.write(f"# TYPE {name.removesuffix('_total')} {kind}\n")
            for sample, instances, seconds, step_s in those:
                out.writelines(history([sample], instances, seconds, step_s))
        out.write("# EOF\n")
    make = [
        "promtool",
        "tsdb",
        "create-blocks-from",
        "openmetrics",
        str(path),
        str(folder / "tsdb"),
    ]
    subprocess.run(make, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    path.unlink()


class Asked:
    """A Prometheus on such a database."""

    def __init__(self, folder):
        port = free_port()
        (folder / "prometheus.yml").write_text("global: {scrape_interval: 1h}\n")
        self.url = f"http://127.0.0.1:{port}"
        told = [
            "prometheus", "--config.file=prometheus.yml", f"--storage.tsdb.path={folder}/tsdb",
            "--storage.tsdb.retention.time=90y", f"--web.listen-address=127.0.0.1:{port}",
        ]  # fmt: skip
        self._process = Process(told, folder)
        self._process.ready(lambda: requests.get(f"{self.url}/-/ready", timeout=5).ok)
        self.stop = self._process.stop

    def _cpu_s(self):
        text = requests.get(f"{self.url}/metrics", timeout=60).text
        return float(re.search(r"^process_cpu_seconds_total (\S+)", text, re.MULTILINE)[1])

    def ask(self, expression):
        asked = {"query": expression, "time": END_S}
        reply = requests.post(f"{self.url}/api/v1/query", data=asked, timeout=300)
        reply.raise_for_status()

    def cost(self, expression):
        """Return the CPU seconds of one evaluation."""
        self.ask(expression)
        before, began, n = self._cpu_s(), time.monotonic(), 0
        while n < 3 or time.monotonic() - began < ASKED_S:
            self.ask(expression)
            n += 1
        return (self._cpu_s() - before) / n


def measured(rules, workers, sectors, regions, folder):
    """Return what one setup costs."""
    groups = yaml.safe_load(rules)["groups"]
    expressions = [rule["expr"] for group in groups for rule in group["rules"]]
    read = {name for text in expressions for name in re.findall(r"[a-z]+_[a-z_]+", text)}
    of_worker, of_judge = exported(sectors, regions)
    of_worker = [s[:3] for s in of_worker if s.name in read]
    of_judge = [s[:3] for s in of_judge if s.name in read]
    labels = {s[1]["region"] for s in of_worker if "region" in s[1]}
    recorded = recorded_series(groups, labels)
    pairs = workers * len(labels)
    few = max(1, MOST_LONG // len(labels)) if pairs > MOST_LONG else workers
    names = [f"w{i}" for i in range(workers)]
    judges = (of_judge, ["j0", "j1"], LATELY_S, SCRAPE_S)
    (folder / "lately").mkdir()
    filled(folder / "lately", [(of_worker, names, LATELY_S, SCRAPE_S), judges,
                               (recorded, ["r"], LATELY_S, SCRAPE_S)])  # fmt: skip
    (folder / "long").mkdir()
    filled(folder / "long", [(of_worker, names[:few], LONG_S, SCRAPE_S),
                             (recorded, ["r"], LONG_S, 60)])  # fmt: skip
    found = {}
    for where, scale in (("lately", 1.0), ("long", workers / few)):
        prometheus = Asked(folder / where)
        try:
            for group in groups:
                every = seconds(group["interval"])
                if (where == "long") is (every > 10 or looks_back(group)):
                    once = scale * sum(prometheus.cost(rule["expr"]) for rule in group["rules"])
                    found[group["name"]] = {"every_s": every, "cpu_s": round(once, 4)}
        finally:
            prometheus.stop()
    total = sum(5 * one["cpu_s"] / one["every_s"] for one in found.values())
    return {
        "workers": workers, "regions": sectors * regions, "labels": len(labels),
        "series": len(of_worker) * workers + 2 * len(of_judge), "scaled_from_workers": few,
        "cpu_s_per_5_s": round(total, 3), "groups": found,
    }  # fmt: skip


def recorded_series(groups, labels):
    """Return what the recording rules have recorded: a series for each region, and each level."""
    names = {r["record"] for g in groups for r in g["rules"] if "record" in r}
    return [
        (name, {"region": region} | ({"level": "0.001"} if "anomal" in name else {}), 1.0)
        for name in sorted(names)
        if name.startswith("region:")
        for region in sorted(labels)
    ]


def seconds(duration):
    return int(duration[:-1]) * {"s": 1, "m": 60, "h": 3600}[duration[-1]]


def looks_back(group):
    """Return whether a rule of a group looks back further than `LATELY_S`."""
    text = " ".join(rule["expr"] for rule in group["rules"])
    return any(seconds(w) > LATELY_S for w in re.findall(r"\[(\d+[smh])\]", text))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rules", type=Path, default=ROOT / "deploy/prometheus/calodqm.rules.yml")
    parser.add_argument("--out", type=Path, help="JSON file that is written")
    parser.add_argument("--setups", nargs="*", default=list(SETUPS), choices=list(SETUPS))
    given = parser.parse_args()
    random.seed(1)
    version = subprocess.run(
        ["prometheus", "--version"], capture_output=True, text=True, check=True
    )
    release = re.search(r"version (\S+)", version.stdout + version.stderr)[1]
    told = {"prometheus": release, "setups": {}}
    for name in given.setups:
        with tempfile.TemporaryDirectory() as folder:
            told["setups"][name] = measured(given.rules.read_text(), *SETUPS[name], Path(folder))
        print(name, json.dumps(told["setups"][name]), flush=True)
    if given.out:
        given.out.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
