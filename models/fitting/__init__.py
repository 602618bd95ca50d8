"""Fitting: from showers and a recipe to an artefact that is certified.

In: pools of showers, a recipe, an existing artefact. Out: trained flows, reference populations
(certified or generated), artefacts with their card. Never: anything that scores a stream.
"""
