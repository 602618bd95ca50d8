"""Bytes in, verdicts out: Kafka, the worker, the judge, the command line."""
