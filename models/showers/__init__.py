"""Showers: batches of showers, and files of them.

In: arrays, and files in HDF5, Parquet and ROOT. Out: validated `Showers`, pools of them with their
noise and mirror images, numbers drawn from a shower's own bytes. Never: a flow or a score.
"""
