"""Judging: the monitor itself.

In: closed windows, acts of the crew, orders. Out: alarms, verdicts and what there is to display.
Never: bytes, topics, wall clocks, or how a test or a picture is made.
"""
