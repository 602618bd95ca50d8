"""Score: the score workers' job.

In: records of showers. Out: ranges of windows, strange showers, dead letters. Never: a judgement,
or state that outlives a partition's assignment.
"""
