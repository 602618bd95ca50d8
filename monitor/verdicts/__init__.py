"""Verdicts: lumisections and the good-run list.

In: what was counted in each lumisection, and the spans that alarms claim. Out: one verdict per
lumisection and region, and the list that analysts read. Never: a test.
"""
