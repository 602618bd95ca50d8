"""Detector: the cells, layers and materials that a shower is seen in, and a detector's channels.

In: geometry files, CaloChallenge binnings, the channels of a detector file. Out: a validated
`Geometry` and `Channels`. Never: a shower, or anything of torch: who only draws a detector need not
wait for it.
"""
