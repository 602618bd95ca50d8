"""Names of the Kafka topics, `<domain>.<plural noun>.v<schema>`."""

SHOWERS = "calo.showers.v1"
WINDOWS = "calo.windows.v1"
ANOMALIES = "calo.anomalies.v1"
REJECTS = "calo.rejects.v1"
RUNS = "calo.runs.v1"
"""Beginnings and ends of runs, if the data acquisition says them."""

REFERENCES = "calo.references.v1"
QUALITY = "calo.quality.v1"
MODELS = "calo.models.v1"
"""Artefacts in pieces, and which of them is in force; compacted."""

STATE = "calo.state.v1"
"""Snapshots of the judge, compacted, so that nobody reads the windows from their beginning."""

READ = (WINDOWS, ANOMALIES, QUALITY, MODELS, STATE)
"""Topics of our own that services read."""
