"""Alarms: from crossings of tests to cases, their kind and place, and words about them.

In: the evidence of all tests at all places. Out: open and closed cases, and an alarm's text. Never:
thresholds of single quantities, or the statistics of a test.
"""
