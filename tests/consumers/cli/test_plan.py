"""What a service of some size needs: figures that follow what was measured."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from consumers.cli import planning
from consumers.cli.command import main
from consumers.cli.commands.plan import figures
from consumers.cli.planning import Site

DEPLOY = Path(__file__).parents[3] / "deploy"
GUIDE = (DEPLOY / "guides" / "operator.md").read_text()

MEASURED = {16: (78, 14, 9), 64: (78, 37, 23), 256: (113, 87, 88)}
"""GiB a day of showers, windows and state, by regions: 1,000 showers/s, 4 partitions, Apache Kafka,
a snapshot every 20 s."""


@pytest.mark.parametrize("regions", MEASURED)
def test_the_formulas_give_what_was_measured_within_a_quarter(regions):
    site = Site(regions, 1000.0, 4, 1, snapshot_s=20.0)
    told = [kept.day / 2**30 for kept in planning.topics(site)[:3]]
    for figure, measured in zip(told, MEASURED[regions], strict=True):
        assert figure == pytest.approx(measured, rel=0.25)


def test_a_year_of_lumisections_of_64_regions_fits_into_500_gib():
    kept = {kept.topic: kept for kept in planning.topics(Site(64, 1000.0, 4, 1))}
    assert kept["calo.lumisections.v1"].disk < 500 * 2**30


def test_more_of_anything_needs_no_less():
    few = Site(16, 500.0, 4, 1)
    for many in (Site(64, 500.0, 4, 1), Site(16, 5000.0, 4, 1), Site(16, 500.0, 4, 3)):
        less, more = figures(few), figures(many)
        assert more["GiB on disk"] >= less["GiB on disk"]
        assert more["MB/s in"] >= less["MB/s in"]
        assert more["workers"] >= less["workers"]
    assert planning.workers(Site(16, 20_000.0, 4, 1)) == 3


def test_a_shower_costs_no_less_than_was_measured_with_any_number_of_workers():
    measured = json.loads((DEPLOY / "figures" / "scale.json").read_text())["measured"]
    assert max(one["cpu_us"] for one in measured) <= planning.CPU_US


def _short(figure):
    return f"{figure:,.0f}" if figure >= 10 else f"{figure:.2g}"


def test_the_guides_table_is_what_the_command_tells():
    rows = re.findall(r"^\| (\d+) \| ([\d,]+) \|(.+)\|$", GUIDE, re.MULTILINE)
    assert len(rows) == 4
    for regions, rate, told in rows:
        site = Site(int(regions), float(rate.replace(",", "")), 4, 3)
        f = figures(site)
        wanted = [
            *(_short(kept.day / 2**30) for kept in planning.topics(site)[:4]),
            f"{f['GiB on disk']:,.0f}", f"{f['MB/s in']:.3g} / {f['MB/s out']:.3g}",
            str(f["workers"]), str(f["MiB of a judge"]),
        ]  # fmt: skip
        assert [cell.strip() for cell in told.split("|")] == wanted


def test_the_command_tells_it_and_refuses_nonsense(capsys):
    assert main(["plan", "--regions", "16", "--rate", "1000", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["workers"] == 1
    assert main(["plan", "--regions", "0", "--rate", "1000"]) == 2
    assert main(["plan", "--regions", "16", "--rate", "1000"]) == 0
    assert "calo.windows.v1" in capsys.readouterr().out


@pytest.mark.slow
def test_a_reader_that_goes_away_is_no_error():
    code = (
        "import sys; from consumers.cli.command import main; "
        "sys.exit(main(['plan', '--regions', '16', '--rate', '1000', '--json']))"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        child.stdout.close()
        assert child.stderr.read() == b""
        assert child.wait(60) == 0
