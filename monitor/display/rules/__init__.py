"""The recording and alerting rules of Prometheus, as code.

Rules name hundreds of series; written by hand they drift from the exporter. `document` makes the
rule file from the modules beside it, for a `site` and a time scale.
"""
