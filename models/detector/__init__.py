"""Detector: the cells, layers and materials that a shower is seen in.

In: geometry files and CaloChallenge binnings. Out: a validated `Geometry`. Never: a shower, or
anything of torch: who only draws a detector need not wait for it.
"""
