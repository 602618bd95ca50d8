"""Benchmark of the alarms: false pages, delays, places and kinds, rivals, contamination."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.special import bdtrc, pdtrc

from consumers.failure import UserError
from consumers.settings import ARTEFACT, ROOT
from models.faults import Fault, Kind
from models.scales import LEVELS, P_EDGES
from monitor import simulation
from monitor.alarms import Alarm, Level, Severity
from monitor.budget import DAY
from monitor.detector import grid
from monitor.monitor import Monitor, MonitorSettings
from monitor.places import Places
from monitor.references import LiveSettings
from monitor.resampling import Pool, accepted, pool, reference_of, window

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from models.artefact import Artefact
    from models.showers import Showers
    from monitor.expectation import Expectation
    from monitor.references import Accepted
    from monitor.windows import Window

DATA = ROOT / "deploy" / "showers" / "pb-lar"
SECTORS, PER_SECTOR = 8, 8
REGIONS = SECTORS * PER_SECTOR
RATE = 1000.0
N_REF = 100_000
START = 1_700_000_000
WARM_S = 60
LIMIT_S = 120
SETTLED_S = 16
"""Data-seconds after the page at which place, cell and kind are assessed."""

STRUCK, OTHER = 11, 52
"""Rows of the regions that faults strike: B4, and G5 for what needs two."""

EDGE = 5
"""A cell at the edge, where a shower leaves nothing."""

PARTS = ("false-pages", "spread", "latents", "resampled", "delays", "contamination")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `calodqm bench alarms`."""
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, metavar="PART",
                        help=f"of {', '.join(PARTS)}")  # fmt: skip
    parser.add_argument("--days", type=int, default=1000, help="of good data to simulate")
    parser.add_argument(
        "--hours", type=float, default=24.0, help="of good data to resample from real showers"
    )
    parser.add_argument("--trials", type=int, default=20, help="of each fault")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--artefact", type=Path, default=ARTEFACT, metavar="DIR")
    parser.add_argument("--out", type=Path, default=None, metavar="JSON",
                        help="figures of parts that are not run again are kept")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")


def run(args: argparse.Namespace) -> int:
    """Simulate, write the figures, tell them."""
    if args.days < 1 or args.trials < 1 or not args.hours > 0:
        raise UserError("at least one day, one trial and a little more than no hours")
    console = Console(stderr=True)
    for part in args.only:
        console.print(f"{part} ...", style="bright_black")
        told = _PARTS[part](args, console)
        figures = _kept(args.out) | {part: told}
        if args.out is not None:
            args.out.parent.mkdir(parents=True, exist_ok=True)
            args.out.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
        if args.json:
            print(json.dumps({part: told}))
        else:
            for table in _TABLES[part](told):
                Console().print(table)
    return 0


def _kept(path: Path | None) -> dict[str, Any]:
    if path is None or not path.exists():
        return {}
    kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return kept


# Good data


def _false_pages(args: argparse.Namespace, console: Console, spread: float = 0.0) -> dict[str, Any]:
    setting = simulation.Setting(SECTORS, PER_SECTOR, RATE, N_REF, spread=spread)

    def tell(done: int) -> None:
        console.print(f"  {done} of {args.days} days", style="bright_black")

    found = simulation.false_pages(setting, args.days, min(50, args.days), args.seed, tell)
    return asdict(found) | {
        "pages_at_most_95": simulation.upper_limit(found.pages),
        "budget": args.days / setting.allowance.days_per_page,
        "regions": REGIONS,
        "rate_hz": RATE,
        "n_ref": N_REF,
        "spread": spread,
        "step_s": simulation.STEP_S,
    }


def _spread(args: argparse.Namespace, console: Console) -> dict[str, Any]:
    return _false_pages(args, console, spread=0.01)


def _latents(args: argparse.Namespace, _console: Console) -> dict[str, Any]:
    setting = simulation.Setting(SECTORS, PER_SECTOR, RATE, N_REF)
    days = max(args.days / 20, 0.1)
    return asdict(simulation.latent_calibration(setting, 507, 504, days, args.seed))


def _resampled(args: argparse.Namespace, console: Console) -> dict[str, Any]:
    artefact = _load(args.artefact)
    # As the artefact sees them: its own reference has to stand against other showers.
    good = _pools(artefact, args.seed, ("good",), calibrated=False)["good"]
    judge = Monitor(grid("calo", SECTORS, PER_SECTOR), artefact.geometry, artefact.reference)
    rng = np.random.default_rng([args.seed, 3])
    parts = [(good, np.full(REGIONS, RATE / REGIONS))]
    seconds, largest = int(args.hours * 3600), 0.0
    for t in range(seconds):
        judge.observe(window(rng, START + t, parts))
        if t % 3600 == 0:
            largest = max(largest, judge.largest_evidence())
            console.print(f"  {t // 3600} of {args.hours:.0f} hours", style="bright_black")
    reference = judge.reference_summary()
    return {
        "hours": seconds / 3600,
        "showers": int(seconds * RATE),
        "pages": judge.budget().pages,
        "largest_evidence": largest,
        "distinct_showers": good.n,
        "reference": asdict(reference),
    }


# Faults


@dataclass(frozen=True, slots=True)
class Case:
    """One fault to be found: how it comes, and what should be said of it."""

    name: str
    pool: str
    """What the struck regions' showers come from."""

    share: float = 1.0
    """Share of their showers that does."""

    kinds: tuple[str, ...] = ()
    """Kinds that are right; empty: any."""

    everywhere: bool = False
    cell: int | None = None
    extra: float = 0.0
    """Instead of a share: so many more showers of the pool per good one with p <= 1e-3."""

    n_struck: int = 1
    live: bool = False
    """Whether the monitor has a live reference of an hour."""


def _cases(core: int) -> tuple[Case, ...]:
    rates = tuple(
        Case(
            f"anomaly rate ×{k}, {'live' if live else 'certified'} reference",
            "strange",
            extra=k - 1,
            everywhere=True,
            live=live,
        )
        for k in (2, 5, 20)
        for live in (False, True)
    )
    return (
        *rates,
        Case("10 % strange showers, one region", "strange", share=0.1),
        Case("100 % strange showers, one region", "strange"),
        Case("dead core cell", "dead", kinds=("dead",), cell=core),
        Case("dead edge cell", "dead edge", kinds=("dead",), cell=EDGE),
        Case("hot core cell", "hot", kinds=("hot",), cell=core),
        Case("hot edge cell", "hot edge", kinds=("hot",), cell=EDGE),
        Case("gain +1 %", "gain 1", kinds=("gain",)),
        Case("gain +2 %", "gain 2", kinds=("gain",)),
        Case("gain +5 %", "gain 5", kinds=("gain",)),
        Case("noise ×2, one layer", "noise", kinds=("noise",)),
        Case("pedestal +1 σ, one layer", "pedestal", kinds=("pedestal",)),
        Case("second photon", "second", kinds=("second shower",)),
        Case("two regions swapped", "swap", kinds=("swap",), n_struck=2),
        Case("positrons for photons", "eplus", kinds=("conditions",), everywhere=True),
        Case("3 mm more lead", "lead3", kinds=("conditions",), everywhere=True),
        Case("silent region", "silent", kinds=("silent",)),
        Case("no finite scores, one region", "nan", kinds=("transport",)),
    )


FAULTS = {
    "dead": Fault(Kind.DEAD),
    "dead edge": Fault(Kind.DEAD, cells=(EDGE,)),
    "hot": Fault(Kind.HOT),
    "hot edge": Fault(Kind.HOT, cells=(EDGE,)),
    "gain 1": Fault(Kind.GAIN, magnitudes={"x": 0.01}),
    "gain 2": Fault(Kind.GAIN, magnitudes={"x": 0.02}),
    "gain 5": Fault(Kind.GAIN, magnitudes={"x": 0.05}),
    "noise": Fault(Kind.NOISE),
    "pedestal": Fault(Kind.PEDESTAL),
    "second": Fault(Kind.SECOND),
    "swap": Fault(Kind.SWAP, region=(0, 1)),
}


def _load(path: Path) -> Artefact:
    import torch  # noqa: PLC0415 - takes seconds, and not every part needs it

    from models.artefact import Artefact, ArtefactError  # noqa: PLC0415

    torch.set_num_threads(1)
    try:
        return Artefact.load(path)
    except ArtefactError as error:
        raise UserError(str(error)) from None


def _pools(
    artefact: Artefact, seed: int, names: tuple[str, ...], *, calibrated: bool = True
) -> dict[str, Pool]:
    """Return scored pools: good showers with fresh noise, and the same with each fault."""
    from consumers.simulate import fresh  # noqa: PLC0415
    from models.injection import apply  # noqa: PLC0415
    from models.readers import read  # noqa: PLC0415

    geometry, scorer = artefact.geometry, artefact.scorer("cpu")
    rng = np.random.default_rng([seed, 1])
    clean = read(DATA / "gamma_demo.h5", geometry)

    def drawn(n: int) -> Showers:
        return fresh(clean[rng.integers(0, clean.n, n)], geometry, rng)

    def scored(showers: Showers) -> Pool:
        said = scorer.score(showers)
        return pool(showers, said, geometry, artefact.reference.n_cells)

    out: dict[str, Pool] = {}
    for name in names:
        if name == "good":
            out[name] = scored(drawn(16_000))
        elif name in FAULTS:
            region = np.arange(4000) % 2 if name == "swap" else np.zeros(4000, np.int64)
            out[name] = scored(apply(FAULTS[name], drawn(4000), region, geometry, rng))
        elif name in {"eplus", "lead3"}:
            out[name] = scored(read(DATA / f"{name}.h5", geometry))
    if "good" in out:
        good = out["good"] = _calibrated(out["good"], rng) if calibrated else out["good"]
        out["strange"] = _chosen(good, np.flatnonzero(good.p <= LEVELS[-1]))
        out["nan"] = replace(good, p=np.full(good.n, np.nan))
    return out


def _calibrated(source: Pool, rng: np.random.Generator) -> Pool:
    """Return a pool whose combined p is exactly uniform in every condition cell.

    A pool of so many showers has a tail of its own; "twice the rate at 1e-3" has to mean that.
    """
    p, p_bin = source.p.copy(), source.p_bin.copy()
    for cell in range(source.n_conditions):
        rows = np.flatnonzero((source.cell == cell) & ~np.isnan(p))
        rank = np.argsort(np.argsort(p[rows], kind="stable"), kind="stable")
        p[rows] = (rank + rng.uniform(0, 1, len(rows))) / len(rows)
    known = ~np.isnan(p)
    p_bin[known, -1] = np.clip(np.searchsorted(P_EDGES, p[known], side="left") - 1, 0, None)
    return replace(source, p=p, p_bin=p_bin)


def _chosen(source: Pool, rows: NDArray[np.int64]) -> Pool:
    return Pool(
        source.cell[rows], source.n_conditions, source.p_bin[rows], source.p[rows],
        source.z[rows], source.z_square[rows], source.lit[rows], source.energy[rows],
    )  # fmt: skip


@dataclass(slots=True)
class Trial:
    """What came of one injected fault."""

    warning: float | None = None
    page: float | None = None
    onset_error: float | None = None
    place: bool = False
    cell: bool | None = None
    kind: str = ""


def _delays(args: argparse.Namespace, console: Console) -> dict[str, Any]:
    artefact = _load(args.artefact)
    pools = _pools(artefact, args.seed, ("good", *FAULTS, "eplus", "lead3"))
    rng = np.random.default_rng([args.seed, 2])
    reference = reference_of(pools["good"], N_REF, rng)
    core = int(_struck(artefact))
    out: dict[str, Any] = {}
    warm = _warm(artefact, pools, reference, rng)
    places = Places(grid("calo", SECTORS, PER_SECTOR))
    for case in _cases(core):
        trials = [_trial(case, artefact, pools, reference, warm, rng) for _ in range(args.trials)]
        rivals = [_rivals(case, places, pools, reference, rng) for _ in range(args.trials)]
        out[case.name] = _told(trials, case) | {
            "rivals_median_s": {
                name: _quantile([found[name] for found in rivals], 0.5) for name in rivals[0]
            }
        }
        line = out[case.name]
        console.print(f"  {case.name}: {line['page_median_s']} s", style="bright_black")
    return out


def _struck(artefact: Artefact) -> int:
    from models.injection import struck  # noqa: PLC0415

    return int(struck(FAULTS["hot"], artefact.geometry)[0])


def _monitor(artefact: Artefact, reference: Expectation) -> Monitor:
    settings = MonitorSettings(live=LiveSettings(enabled=False))
    return Monitor(grid("calo", SECTORS, PER_SECTOR), artefact.geometry, reference, settings)


def _good(pools: dict[str, Pool]) -> list[tuple[Pool, NDArray[np.float64]]]:
    return [(pools["good"], np.full(REGIONS, RATE / REGIONS))]


def _warm(
    artefact: Artefact,
    pools: dict[str, Pool],
    reference: Expectation,
    rng: np.random.Generator,
) -> dict[str, NDArray[Any]]:
    """Return the state of a monitor that has seen a minute of good data."""
    judge = _monitor(artefact, reference)
    for t in range(WARM_S):
        judge.observe(window(rng, START + t, _good(pools)))
    return judge.state()


def _trial(
    case: Case,
    artefact: Artefact,
    pools: dict[str, Pool],
    reference: Expectation,
    warm: dict[str, NDArray[Any]],
    rng: np.random.Generator,
) -> Trial:
    judge = _monitor(artefact, reference)
    judge.restore(warm)
    if case.live:
        judge.live.total = _hour(pools, 0.0, rng)
        judge.adopt_live()
    trial, pages = Trial(), 0
    for t in range(LIMIT_S):
        seen = _faulty(case, pools, rng, START + WARM_S + t)
        said = [a for a in judge.observe(seen) if isinstance(a, Alarm)]
        _note(trial, said, t + 1)
        if trial.page is not None:
            pages += 1
        if pages > SETTLED_S:
            break
    if judge.open_alarms():
        _assess(trial, case, judge.open_alarms())
    return trial


def _rivals(
    case: Case,
    places: Places,
    pools: dict[str, Pool],
    reference: Expectation,
    rng: np.random.Generator,
) -> dict[str, float | None]:
    """Return the delays of what a crew would have otherwise."""
    rivals = Rivals(places, reference, rng)
    for t in range(LIMIT_S):
        rivals.observe(_faulty(case, pools, rng, START + t))
        if rivals.all_found:
            break
    return rivals.found


def _note(trial: Trial, said: list[Alarm], delay: int) -> None:
    for alarm in said:
        trial.warning = trial.warning if trial.warning is not None else delay
        if alarm.severity is Severity.PAGE and trial.page is None:
            trial.page = delay
            trial.onset_error = alarm.onset_ns / 1e9 - START - WARM_S


def _faulty(case: Case, pools: dict[str, Pool], rng: np.random.Generator, second: int) -> Window:
    parts = _good(pools)
    rows = np.arange(REGIONS) if case.everywhere else np.array((STRUCK, OTHER)[: case.n_struck])
    mean = RATE / REGIONS
    if case.pool != "silent":
        extra = np.zeros(REGIONS)
        extra[rows] = case.share * mean
        if case.extra:
            extra[rows] = case.extra * mean * float((pools["good"].p <= LEVELS[-1]).mean())
        parts.append((pools[case.pool], extra))
    if not case.extra:
        parts[0][1][rows] *= 1 - case.share
    return window(rng, second, parts)


def _assess(trial: Trial, case: Case, alarms: tuple[Alarm, ...]) -> None:
    alarm = alarms[0]
    named = {share.region for share in alarm.regions}
    if case.everywhere:
        trial.place = alarm.level is Level.DETECTOR
    else:
        trial.place = named == set((STRUCK, OTHER)[: case.n_struck])
    if case.cell is not None:
        trial.cell = bool(alarm.cells) and alarm.cells[0].cell == case.cell
    trial.kind = alarm.kind.value


class Rivals:
    """What a crew would have otherwise, in tumbling minutes that do not know of the onset."""

    def __init__(self, places: Places, reference: Expectation, rng: np.random.Generator) -> None:
        self._places, self._reference = places, reference
        self._at = LEVELS.index(0.01)
        self._phase = int(rng.integers(0, 60))
        k = len(reference.showers)
        self._n = np.zeros((places.n_regions, k))
        self._k = np.zeros(places.n_regions)
        self._lit = np.zeros((places.n_regions, reference.lit_rate.shape[1]))
        self._seconds = 0
        self.found: dict[str, float | None] = {
            "mean + 3 sigma a minute": None,
            "exact test a minute": None,
            "occupancy a cell and minute": None,
        }

    @property
    def all_found(self) -> bool:
        """Return whether there is nothing left to wait for."""
        return all(delay is not None for delay in self.found.values())

    def observe(self, seen: Window) -> None:
        """Take in a second since the onset; the minute may have begun before it."""
        self._seconds += 1
        self._n[seen.regions] += seen.showers
        self._k[seen.regions] += seen.exceedances[..., self._at].sum(1)
        self._lit[seen.regions] += seen.lit
        if (self._seconds + self._phase) % 60:
            return
        self._judge()
        self._n[:], self._k[:], self._lit[:] = 0, 0, 0

    def _judge(self) -> None:
        # The part of the first minute before the onset is left out: that favours the rivals.
        reference = self._reference
        mean = self._n @ (reference.exceedances[:, self._at] / reference.showers)
        pages = 30 * DAY / 60
        members = self._places.members.astype(np.float64)
        exact = pdtrc(np.maximum(members @ self._k - 1, 0), np.maximum(members @ mean, 1e-9))
        n = self._n.sum(1, keepdims=True)
        rate = self._n @ reference.lit_rate / np.maximum(n, 1)
        low = 1 - bdtrc(self._lit, np.maximum(n, 1), rate)
        high = np.where(
            self._lit > 0, bdtrc(np.maximum(self._lit - 1, 0), np.maximum(n, 1), rate), 1
        )
        crossed = (
            bool((self._k > mean + 3 * np.sqrt(mean)).any()),
            bool((exact < 1 / (pages * self._places.n)).any()),
            bool((np.minimum(low, high) < 1 / (pages * 2 * self._lit.size)).any()),
        )
        for name, now in zip(self.found, crossed, strict=True):
            if now and self.found[name] is None:
                self.found[name] = float(self._seconds)


def _told(trials: list[Trial], case: Case) -> dict[str, Any]:
    """Return the figures of a fault's trials; a delay is None where it was not found."""
    pages = [trial.page for trial in trials]
    onsets = [abs(t.onset_error) for t in trials if t.onset_error is not None]
    cells = [trial.cell for trial in trials if trial.cell is not None]
    return {
        "trials": len(trials),
        "found": sum(page is not None for page in pages),
        "warning_median_s": _quantile([t.warning for t in trials], 0.5),
        "page_median_s": _quantile(pages, 0.5),
        "page_90_s": _quantile(pages, 0.9),
        "onset_error_median_s": float(np.median(onsets)) if onsets else None,
        "place_right": float(np.mean([t.place for t in trials])),
        "cell_right": float(np.mean(cells)) if cells else None,
        "kind_right": float(np.mean([t.kind in case.kinds for t in trials])) if case.kinds else None,
        "kinds": dict(Counter(trial.kind or "not found" for trial in trials)),
    }  # fmt: skip


def _quantile(delays: list[float | None], q: float) -> float | None:
    """Return a quantile of delays; what was not found counts as never."""
    values = [np.inf if delay is None else delay for delay in delays]
    value = float(np.quantile(values, q, method="higher"))
    return value if np.isfinite(value) else None


# Contamination


def _contamination(args: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Return delays of a hot cell in one shower of 300, by what the live reference has learnt."""
    artefact = _load(args.artefact)
    pools = _pools(artefact, args.seed, ("good", "hot edge"))
    rng = np.random.default_rng([args.seed, 4])
    certified = reference_of(pools["good"], N_REF, rng)
    case = Case("hot edge cell", "hot edge", share=0.01, everywhere=True)
    out: dict[str, Any] = {}
    for share in (0.0, 0.001, 0.01):
        for guarded in (True, False):
            pages = [
                _learnt_delay(case, artefact, pools, certified, share, rng, guarded=guarded)
                for _ in range(args.trials)
            ]
            name = f"{share:.1%} contamination, guards {'on' if guarded else 'off'}"
            out[name] = {
                "found": sum(page is not None for page in pages),
                "trials": len(pages),
                "page_median_s": _quantile(pages, 0.5),
                "page_90_s": _quantile(pages, 0.9),
            }
            console.print(f"  {name}: {out[name]['page_median_s']} s", style="bright_black")
    return out


def _learnt_delay(
    case: Case,
    artefact: Artefact,
    pools: dict[str, Pool],
    certified: Expectation,
    share: float,
    rng: np.random.Generator,
    *,
    guarded: bool,
) -> float | None:
    settings = MonitorSettings(live=LiveSettings(enabled=False, guarded=guarded))
    judge = Monitor(grid("calo", SECTORS, PER_SECTOR), artefact.geometry, certified, settings)
    judge.live.total = _hour(pools, share, rng, case.pool)
    judge.adopt_live()
    for t in range(LIMIT_S):
        said = judge.observe(_faulty(case, pools, rng, START + t))
        if any(isinstance(a, Alarm) and a.severity is Severity.PAGE for a in said):
            return float(t + 1)
    return None


def _hour(
    pools: dict[str, Pool], share: float, rng: np.random.Generator, fault: str = "good"
) -> Accepted:
    """Return the sums of an hour of accepted showers, a share of them with a fault."""
    n = int(RATE * 3600)
    bad = int(rng.binomial(n, share))
    return accepted([(pools["good"], n - bad), (pools[fault], bad)], rng)


# Tables


def _pages_table(told: dict[str, Any]) -> Iterator[Table]:
    spread = f", lumisection spread {told['spread']:.0%}" if told["spread"] else ""
    table = Table(title=f"{told['days']:,.0f} days of good data, {told['regions']} regions{spread}")
    table.add_column("alarm")
    table.add_column("false pages", justify="right")
    table.add_row("calodqm", f"{told['pages']} (at most {told['pages_at_most_95']:.1f} at 95 %)")
    table.add_row("  budget", f"{told['budget']:.1f}")
    table.add_row("  warnings", f"{told['warnings']}")
    table.add_row("  largest evidence over a page's", f"{told['largest']:.1g}")
    table.add_row("mean + 3 sigma a minute", f"{told['three_sigma']:,}")
    table.add_row("exact test a minute", f"{told['tumbling']:,}")
    yield table


def _latents_table(told: dict[str, Any]) -> Iterator[Table]:
    table = Table(title=f"latents of one region, {told['region_days']:.0f} days of good data")
    for name in ("evidence once in", "allowed", "found"):
        table.add_column(name, justify="right")
    for columns in zip(told["once_in_s"], told["allowed"], told["crossings"], strict=True):
        table.add_row(f"{columns[0]:,.0f} s", f"{columns[1]:,.1f}", f"{columns[2]}")
    yield table


def _resampled_table(told: dict[str, Any]) -> Iterator[Table]:
    table = Table(title="real good showers, resampled")
    table.add_column("what")
    table.add_column("figure", justify="right")
    table.add_row("hours of data", f"{told['hours']:.1f}")
    table.add_row("pages", f"{told['pages']}")
    table.add_row("largest evidence over a page's", f"{told['largest_evidence']:.1g}")
    yield table


def _delays_table(told: dict[str, Any]) -> Iterator[Table]:
    table = Table(title="delay from onset to page, data time, s")
    for name in ("fault", "warn 50 %", "page 50 %", "page 90 %", "place", "cell", "kind",
                 "3 sigma", "exact", "occupancy"):  # fmt: skip
        table.add_column(name, justify="left" if name == "fault" else "right")
    for name, line in told.items():
        rivals = [_seconds(delay) for delay in line["rivals_median_s"].values()]
        table.add_row(
            name, _seconds(line["warning_median_s"]), _seconds(line["page_median_s"]),
            _seconds(line["page_90_s"]), _share(line["place_right"]), _share(line["cell_right"]),
            _share(line["kind_right"]), *rivals,
        )  # fmt: skip
    yield table
    kinds = sorted({kind for line in told.values() for kind in line["kinds"]})
    confusion = Table(title="kinds named")
    for column in ("fault", *kinds):
        confusion.add_column(column, justify="left" if column == "fault" else "right")
    for name, line in told.items():
        confusion.add_row(name, *(str(line["kinds"].get(kind, "")) for kind in kinds))
    yield confusion


def _contamination_table(told: dict[str, Any]) -> Iterator[Table]:
    table = Table(title="a hot cell in 0.3 % of all showers, live reference of an hour")
    for name in ("live reference", "found", "page 50 %, s", "page 90 %, s"):
        table.add_column(name, justify="left" if name == "live reference" else "right")
    for name, line in told.items():
        found = f"{line['found']}/{line['trials']}"
        table.add_row(name, found, _seconds(line["page_median_s"]), _seconds(line["page_90_s"]))
    yield table


def _seconds(delay: float | None) -> str:
    return "never" if delay is None else f"{delay:.0f}"


def _share(share: float | None) -> str:
    return "" if share is None else f"{share:.0%}"


_PARTS: dict[str, Callable[[argparse.Namespace, Console], dict[str, Any]]] = {
    "false-pages": _false_pages,
    "spread": _spread,
    "latents": _latents,
    "resampled": _resampled,
    "delays": _delays,
    "contamination": _contamination,
}
_TABLES: dict[str, Callable[[dict[str, Any]], Iterator[Table]]] = {
    "false-pages": _pages_table,
    "spread": _pages_table,
    "latents": _latents_table,
    "resampled": _resampled_table,
    "delays": _delays_table,
    "contamination": _contamination_table,
}
