"""What a healthy shower looks like: probability models, and nothing about a service.

Rooms, each may import those below it: studies, fitting, scoring, flows, simulation, showers,
detector. `artefacts` and `geometries` are data. No Kafka, no Prometheus, no clock, no environment.
"""
