"""Display: what people and programs are shown.

In: what the monitor stands at. Out: the board and its curves, metrics, the page, pictures, marks on
Grafana's dashboards. Never: a judgement of its own; it shows what was said.
"""
