"""What the scores say about the detector now: windows in, alarms and verdicts out.

Rooms, each may import those below it: judging, display, alarms, verdicts, sequential, reference,
windows, quality, detector. Pure: no clock, no Kafka; Prometheus in `display.metrics` alone, Grafana's HTTP in `display.grafana`.
"""
