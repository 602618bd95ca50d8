"""Studies: how good is a model.

In: an artefact, good showers, anomalous ones or injected faults. Out: separation, calibration,
power, mutability, and the pages and plots that show them. Never: what a service needs to score.
"""
