"""HTTP: the page, the metrics' endpoint, and what the crew does through them.

In: requests of anybody. Out: answers that are read-only, but for acts behind a token. Never: a
judgement, or a wait that holds up a job.
"""
