"""Sequential: the tests, and the one budget of false pages that they share.

In: counts and sums of each data-second, and what is expected of them. Out: e-values and
Shiryaev-Roberts sums by place. Never: words, alarms, or what anybody does about a crossing.
"""
