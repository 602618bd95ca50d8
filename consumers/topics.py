"""Names of the Kafka topics, `<domain>.<plural noun>.v<schema>`."""

SHOWERS = "calo.showers.v1"
WINDOWS = "calo.windows.v1"
ANOMALIES = "calo.anomalies.v1"
REJECTS = "calo.rejects.v1"
REFERENCES = "calo.references.v1"
QUALITY = "calo.quality.v1"
