"""Exactly once: which ranges count, which seconds are closed, where to begin again.

In: opens and ranges as they lie on the windows topic; snapshots. Out: what is accepted, once. Never:
the client of a broker, or what the windows hold.
"""
