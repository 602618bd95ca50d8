"""The commands around a running service, against a real broker: one stream, then questions."""

import contextlib
import csv
import io
import json
from typing import NamedTuple

import pytest
from feeding import verdicts
from services import Services, newest_manifest
from waiting import wait_until

from consumers.app import environment, speaking
from consumers.app.embedded import EmbeddedBroker
from consumers.cli.command import main
from consumers.cli.commands.demo import SOURCE
from consumers.exactly_once import quality_log
from consumers.wire import topics
from monitor.quality.acknowledgements import Acknowledgement
from monitor.quality.reference_acts import ReferenceAct

START = "2026-01-01T00:00:00"
BEFORE = "2026-01-01T00:00:32"
SECONDS = 70


@pytest.fixture(scope="module")
def stream(tmp_path_factory):
    """A service that has judged some seventy seconds, the last thirty with a fault in B2."""
    with EmbeddedBroker() as broker, contextlib.ExitStack() as ends:
        services = Services(broker.bootstrap, tmp_path_factory.mktemp("logs"))
        ends.callback(services.end)
        services.start("service", "run")
        simulate = services.simulate(
            *("--rate", "400", "--seconds", str(SECONDS), "--data-time-start", START, "--fast"),
            *("--fault", "gain:region=B2,x=0.1@40"),
            source=SOURCE,
        )
        assert simulate.wait(120) == 0
        sent = json.loads(services.log("simulate").splitlines()[-1])["showers"]
        wait_until(
            lambda: newest_manifest(broker.bootstrap).totals.get("showers", 0) >= sent,
            120,
            "all showers to be judged",
        )
        judged_to_the_end(broker.bootstrap)
        yield services


def judged_to_the_end(bootstrap):
    """Wait until the idle stream was closed, which gives its last verdicts, and a snapshot taken."""
    wait_until(lambda: sum(number == 3 for number, _ in verdicts(bootstrap)) == 16, 60, "verdicts")
    with speaking.opened_log(environment.load({"bootstrap": bootstrap})) as log:
        _, end = log.bounds(topics.QUALITY)
    wait_until(lambda: newest_manifest(bootstrap).quality_at >= end, 30, "a snapshot after them")


class Answer(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def ask(stream, capsys):
    """Call a command as the console script does, in this process: torch takes seconds to import."""

    def call(*arguments):
        code = main([*arguments, "--bootstrap", stream.bootstrap])
        captured = capsys.readouterr()
        return Answer(code, captured.out, captured.err)

    return call


def test_replay_of_the_good_part_raises_nothing(ask):
    done = ask("replay", "--from", START, "--to", "2026-01-01T00:00:38")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 alarms" in done.stdout


def test_replay_raises_the_alarm_again_from_windows_and_from_showers(ask):
    for more in ((), ("--rescore",)):
        done = ask("replay", "--from", BEFORE, "--to", "2026-01-01T00:00:52", "--json", *more)
        assert done.returncode == 1, done.stderr
        said = [json.loads(line) for line in done.stdout.splitlines()]
        alarms = [record for record in said if record["type"] == "alarm"]
        assert "B2" in alarms[0]["summary"]


def test_an_acknowledgement_reaches_the_judge_and_is_published(ask, stream):
    done = ask("replay", "--from", START, "--to", "2026-01-01T00:01:10", "--json")
    first = json.loads(next(line for line in done.stdout.splitlines() if '"alarm"' in line))
    unknown = ask("ack", "no-such-alarm", "--cause", "x")
    assert unknown.returncode == 2
    assert first["id"] in unknown.stderr
    wrong = ask("ack", first["id"], "--cause", "x", "--mask", "Z9")
    assert wrong.returncode == 2
    assert "Z9" in wrong.stderr
    done = ask("ack", first["id"], "--cause", "a board was warm", "--mask", "B2", "--who", "Ada")
    assert done.returncode == 0, done.stderr

    wait_until(lambda: heard(stream, Acknowledgement, "Ada"), 30, "the judge to publish it")


def heard(stream, kind, who):
    with speaking.opened_log(environment.load({"bootstrap": stream.bootstrap})) as log:
        said = quality_log.read(log.read_all(topics.QUALITY))
    return [record for record in said if isinstance(record, kind) and record.who == who]


def test_the_good_run_list_leaves_out_what_is_not_good(ask):
    done = ask("flags", "export", "--run", "1")
    assert done.returncode == 0, done.stderr
    usable = json.loads(done.stdout)["1"]
    assert set(usable) == {f"{s}{r}" for s in "ABCD" for r in range(1, 5)}
    assert usable["C3"][0][0] == 1
    assert all(last < 2 for _, last in usable["B2"])
    table = ask("flags", "export", "--run", "1", "--form", "csv")
    rows = list(csv.DictReader(io.StringIO(table.stdout)))
    assert {row["quality"] for row in rows if row["name"] == "B2"} > {"good"}
    nothing = ask("flags", "export", "--run", "9")
    assert nothing.returncode == 2
    assert "runs [1]" in nothing.stderr


def test_a_run_is_reported_and_judged_by_its_lumisections_also_against_those_of_good_runs(ask):
    def whole():
        """Return the report once all lumisections are kept."""
        lines = ask("report", "--from", START, "--json").stdout.splitlines()
        return [told for told in map(json.loads, lines) if told["lumisections"] == 4]

    (told,) = wait_until(whole, 60, "the report of four lumisections")
    assert told["run"] == 1
    assert "B2" in told["not good, lumisections"]
    assert told["strange"]["0.01"]["seen"] > told["strange"]["0.01"]["expected"]
    assert "B2" in ask("report", "--from", START).stdout
    nothing = ask("report", "--from", "2020-01-01", "--to", "2020-01-02")
    assert nothing.returncode == 2

    done = ask("replay", "--run", "1", "--against", "1", "--json")
    assert done.returncode in {0, 1}, done.stderr
    said = [json.loads(line) for line in done.stdout.splitlines()]
    references = {record["reference"] for record in said if record["type"] == "verdict"}
    assert all(reference.endswith("+runs-1") for reference in references)
    wrong = ask("replay", "--run", "1", "--against", "7")
    assert wrong.returncode == 2
    assert "run 7: nothing is kept" in wrong.stderr


def test_orders_about_the_reference_are_taken(ask, stream):
    shown = ask("reference", "show", "--json")
    assert json.loads(shown.stdout)["in force"]["showers"] > 0
    assert ask("reference", "freeze", "--who", "Ada").returncode == 0
    wait_until(lambda: heard(stream, ReferenceAct, "Ada"), 30, "the judge to publish it")
    wrong = ask("reference", "rollback")
    assert wrong.returncode == 2
    assert "--since" in wrong.stderr
    assert ask("reference", "rollback", "--since", "5m").returncode == 0
    done = ask("reference", "conditions", "HV 1300 V", "--run", "900", "--who", "Eve")
    assert done.returncode == 0, done.stderr
    wait_until(lambda: heard(stream, ReferenceAct, "Eve"), 30, "the judge to publish it")
    assert [(act.run, act.key) for act in heard(stream, ReferenceAct, "Eve")] == [
        (900, "HV 1300 V")
    ]


def test_the_doctor_finds_all_well_and_finds_a_broker_that_is_away(ask):
    done = ask("doctor", "--json")
    assert done.returncode == 0, done.stdout
    away = ask("doctor", "--artefact", "/nowhere")
    assert away.returncode == 1
    assert "mend" in away.stdout


def test_the_service_stops_in_good_order_and_its_log_holds_no_error(stream):
    assert stream.children["service"].poll() is None
    assert "Traceback" not in stream.log("service")
    assert stream.stop("service") == 0
