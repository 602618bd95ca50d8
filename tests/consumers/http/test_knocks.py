"""Wrong tokens at the page leave a line and a count, however many come."""

import logging

from consumers.http.knocks import Knocks


def test_a_thousand_wrong_tokens_are_counted_and_told_in_one_line(caplog):
    counted = []
    knocks = Knocks(lambda: counted.append(1))
    with caplog.at_level(logging.WARNING):
        for i in range(1000):
            knocks(f"10.0.0.{i % 8}")
    assert len(counted) == 1000
    assert [r.getMessage() for r in caplog.records] == [
        "1 wrong tokens at the page, the newest from 10.0.0.0"
    ]
