"""Judge: the judge's job.

In: the windows topic, in its order. Out: alarms and verdicts on the quality topic, snapshots.
Never: a shower.
"""
