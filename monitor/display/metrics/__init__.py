"""Metrics: every exported series, and no other. Only here is prometheus_client imported."""
