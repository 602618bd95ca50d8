"""Flows: densities of showers, and the features that they see.

In: cells, layers and conditions as tensors. Out: log p, latents and residuals; generated features.
Never: files, references, p-values, or which family an artefact holds.
"""
