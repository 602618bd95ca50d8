"""The process: its settings, how it is put together, its threads, and the embedded broker.

In: variables and options. Out: a running worker, judge, or both, with their pages. Never: what a
record or a window means.
"""
