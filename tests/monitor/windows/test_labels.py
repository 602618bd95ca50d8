"""Laws of runs and lumisections: forward by majority, back by a clear one or by order."""

from monitor.windows.labels import CLEAR, RECENT_S, Labels


def play(labels, seconds, second=0):
    """Take in data-seconds, each a dictionary of showers by label; return what came into force."""
    return [labels.step(second + k, counts) for k, counts in enumerate(seconds)]


def test_the_next_lumisection_follows_with_the_second_that_is_mostly_its_own():
    labels = Labels()
    told = play(labels, [{(2, 1): 500}, {(2, 1): 300, (2, 2): 200}, {(2, 2): 500}])
    assert told == [(2, 1), None, (2, 2)]


def test_a_few_stale_numbers_move_nothing_and_are_known_to_be_astray():
    labels = Labels()
    play(labels, [{(1, 7): 4, (2, 1): 500}] * (RECENT_S + 1))
    assert labels.now == (2, 1)
    assert labels.is_stray((1, 7), RECENT_S)
    assert labels.is_stray((1, 8), RECENT_S + 1)  # the run is stale, whatever its lumisection


def test_a_run_far_ahead_in_a_few_showers_is_not_followed():
    labels = Labels()
    told = play(labels, [{(2, 1): 500}] * 5 + [{(9999, 1): 4}] + [{(2, 1): 500}] * 5)
    assert told == [(2, 1)] + [None] * 10


def test_a_new_run_with_few_showers_is_followed_once_they_are_what_is_usual():
    labels = Labels()
    play(labels, [{(2, 1): 500}] * 5)
    told = play(labels, [{(3, 1): 5}] * 2 * RECENT_S, second=5)
    assert [label for label in told if label] == [(3, 1)]
    assert told.index((3, 1)) <= RECENT_S


def test_a_lower_run_needs_a_clear_majority():
    labels = Labels()
    play(labels, [{(50, 7): 500}] * 20)
    unclear = round(500 * (1 - CLEAR)) + 10
    assert not any(play(labels, [{(1, 1): 500, (50, 7): unclear}] * 20, second=20))
    told = play(labels, [{(1, 1 + k // 8): 500} for k in range(20)], second=40)
    assert next(label for label in told if label)[0] == 1
    assert labels.now == (1, 3)


def test_a_lower_run_follows_at_once_by_order():
    labels = Labels()
    play(labels, [{(50, 7): 500}] * 5)
    labels.ordered = 1
    assert play(labels, [{(1, 1): 500}], second=5) == [(1, 1)]
    assert labels.ordered is None


def test_what_waits_is_taken_up_by_an_heir():
    labels, heir = Labels(), Labels()
    play(labels, [{(1, 7): 4, (2, 1): 500}] * 5)
    heir.restore(labels.state())
    more = [{(1, 7): 4, (2, 1): 500}] * 10
    assert play(labels, more, second=5) == play(heir, more, second=5)
    assert heir.state() == labels.state()
