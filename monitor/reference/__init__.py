"""Reference: what is expected, built on the fly.

In: a certified reference table, accepted windows, conditions, orders. Out: expectations with their
own uncertainty. Never: a test, or a window that was not accepted.
"""
