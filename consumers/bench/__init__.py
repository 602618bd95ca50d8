"""Bench: the figures of the README, measured on this machine.

In: artefacts, showers, a plan. Out: JSON files and tables. Never: anything that the service needs.
"""
