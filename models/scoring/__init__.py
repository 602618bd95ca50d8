"""Scoring: from showers to scores, latents and p-values; the artefact that holds it all.

In: showers and an artefact's folder. Out: `Scored` batches, reference tables, saved artefacts.
Never: training, simulation, or what a detector's regions are.
"""
