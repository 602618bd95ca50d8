"""Simulation: showers and faults made by us.

In: a geometry, energies, a fault in words. Out: showers (GFLASH) and showers with a fault in them.
Never: scores, or anything that scoring needs at work: it must know nothing of its exams.
"""
