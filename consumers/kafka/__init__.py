"""Kafka: connections, sources, sinks, logs and topics. The only room that imports the client.

In: settings of a connection. Out: records with their coordinates, and two errors: `Refused` and
`Unavailable`. Never: what a record holds.
"""
