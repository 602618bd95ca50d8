"""bench scale: efficiency against one worker, the model beside it, and sizes by the costs of plan."""

import argparse

import pytest

from consumers.bench import scale
from consumers.bench.ingest import Ingest
from consumers.cli import planning
from consumers.cli.planning import Site
from consumers.wire.user_error import UserError

STAGES = {"decode": 6.0, "score": 40.0, "tally": 5.0, "publish": 3.0}


def run(rate, cpu_us=80.0):
    return Ingest(100_000, 100_000 / rate, rate, cpu_us, STAGES, [500.0])


def test_efficiency_is_against_as_many_times_one_worker():
    told = scale.measured({1: run(10_000), 2: run(18_000), 4: run(20_000)}, 4, 1e6)
    assert [one["efficiency"] for one in told] == [1.0, 0.9, 0.5]
    assert {one["beside_scoring_us"] for one in told} == {14.0}


def test_the_model_has_no_more_cores_than_the_machine_and_no_more_showers_than_are_offered():
    told = scale.measured({1: run(10_000), 2: run(18_000), 4: run(20_000)}, 2, 20_000.0)
    assert [one["modelled_per_s"] for one in told] == [12_500, 20_000, 20_000]


@pytest.mark.parametrize("rate", scale.RATES_HZ)
def test_sizes_are_those_of_plan(rate):
    told = scale.sizing(rate)
    site = Site(scale.REGIONS, rate, told["partitions"], scale.REPLICAS)
    assert told["cores"] == planning.workers(site)
    assert told["partitions"] >= 2 * told["cores"]
    assert told["mb_per_s_in"] == round(planning.network(site)[0] / 1e6, 1)


def test_more_workers_than_partitions_are_refused(tmp_path):
    given = argparse.Namespace(most=9, out=tmp_path / "x", partitions=4, showers=1, rate=1.0)
    with pytest.raises(UserError, match="1 to 4 workers"):
        scale.run(given)
