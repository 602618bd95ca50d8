"""Detector: the tree of regions, and the places that are watched.

In: a detector file. Out: a validated tree, and its places (detector, sectors, regions) as rows.
Never: cells of a shower: those are the geometry's, in `models.detector`.
"""
