"""What the scores say about the detector now: windows, tests, alarms, verdicts, metrics."""
