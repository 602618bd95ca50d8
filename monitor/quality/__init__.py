"""Quality: what is said, as records.

In: nothing but values. Out: alarms, verdicts, acknowledgements, orders and acts, and their one JSON
form. Never: how any of it was found.
"""
