"""Names of the Kafka topics, `<domain>.<plural noun>.v<schema>`."""

SHOWERS = "calo.showers.v1"
WINDOWS = "calo.windows.v1"
ANOMALIES = "calo.anomalies.v1"
REJECTS = "calo.rejects.v1"
RUNS = "calo.runs.v1"
"""Beginnings and ends of runs, if the data acquisition says them."""

QUALITY = "calo.quality.v1"
CONTENTS = "calo.contents.v1"
"""Where on the quality topic runs and alarms stand; compacted."""

LUMISECTIONS = "calo.lumisections.v1"
"""Sums of windows by lumisection, kept for a year; compacted."""

MODELS = "calo.models.v1"
"""Artefacts in pieces, and which of them is in force; compacted."""

STATE = "calo.state.v1"
"""Snapshots of the judge, compacted, so that nobody reads the windows from their beginning."""

OURS = frozenset(
    {WINDOWS, ANOMALIES, REJECTS, RUNS, QUALITY, CONTENTS, LUMISECTIONS, MODELS, STATE}
)
"""Topics that one service has for itself; on the cluster they begin with its prefix."""

READ = (WINDOWS, ANOMALIES, QUALITY, CONTENTS, MODELS, STATE)
"""Topics of our own that services read."""

RIGHTS: dict[str, dict[str, frozenset[str]]] = {
    "score": {
        SHOWERS: frozenset({"READ"}),
        WINDOWS: frozenset({"READ", "WRITE"}),
        STATE: frozenset({"READ"}),
        MODELS: frozenset({"READ"}),
        ANOMALIES: frozenset({"WRITE"}),
        REJECTS: frozenset({"WRITE"}),
    },
    "judge": {
        RUNS: frozenset({"READ"}),
        WINDOWS: frozenset({"READ", "WRITE"}),
        STATE: frozenset({"READ", "WRITE"}),
        MODELS: frozenset({"READ", "WRITE"}),
        QUALITY: frozenset({"READ", "WRITE"}),
        CONTENTS: frozenset({"READ", "WRITE"}),
        LUMISECTIONS: frozenset({"WRITE"}),
        ANOMALIES: frozenset({"READ"}),
        REJECTS: frozenset({"WRITE"}),
    },
    "page": {WINDOWS: frozenset({"WRITE"})},
}
"""What each part of the service does with each topic, by Kafka's names of operations.

`page` is a judge whose page may acknowledge alarms; who gives orders by command needs the same.
"""
