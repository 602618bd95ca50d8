"""Series of workers follow what the topics hold."""

from stage import Stage

from consumers.score.settings import WorkerSettings


def counted(stage, name, **labels):
    found = [
        sample.value
        for family in stage.registry.collect()
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]
    return sum(found)


def test_what_was_scored_and_not_said_counts_for_whoever_says_it():
    stage = Stage(3)
    for _ in range(12):
        stage.produce()
    stage.produce(spoilt=True)
    first, partitions = stage.start_worker(), range(3)
    slow = stage.workers[-1][0]
    slow._settings = WorkerSettings("slow", emit_s=1e9)
    slow._due = 1e18
    for partition in partitions:
        stage.assign(partition, first, tell_old=False)
    for _ in range(10):
        slow._step()
    assert counted(stage, "calodqm_showers_scored_total") == 0
    second = stage.start_worker()
    for partition in partitions:
        stage.assign(partition, second, tell_old=True)
    slow._step()
    worker = stage.workers[-1][0]
    for _ in range(20):
        worker._step()
    worker._saying.settle()
    assert counted(stage, "calodqm_showers_scored_total") == sum(stage.sent.values())
    assert counted(stage, "calodqm_records_consumed_total") == 13
    assert counted(stage, "calodqm_records_rejected_total") == 1
