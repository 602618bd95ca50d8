"""A service on a stage: workers that are hired, and what it says."""

from prometheus_client import generate_latest
from stage import PARTITIONS, Stage


def work(stage, n, worker=None):
    """Let something come, be scored, and be judged, n times."""
    for _ in range(n):
        stage.produce()
        (worker or stage.workers[-1][0])._step()
        for _ in range(3):
            stage.judge._step()


def staffed(n=100, told=None, **ids):
    """Return a stage with a judge and a worker that has every partition, at work."""
    stage = Stage(0)
    stage.broker.ids |= ids
    stage.start_judge()
    hire(stage, **(told or {}))
    work(stage, n)
    return stage


def hire(stage, **told):
    """Start a worker in place of those before, and give it every partition."""
    stage.workers.clear()
    source = stage.start_worker(**told)
    for partition in range(PARTITIONS):
        stage.assign(partition, source, tell_old=False)


def judged(stage):
    return stage.judge._state.totals["showers"]


def sent(stage):
    return sum(stage.sent.values())


def shown(stage, name):
    lines = generate_latest(stage.registry).decode().splitlines()
    found = [line.rsplit(" ", 1) for line in lines if line.startswith(name)]
    return {series: float(value) for series, value in found}
