"""Wire: every byte format of every topic, checked.

In: bytes, or values to be written. Out: values that are valid, or one `DecodeError` with its reason.
Never: a broker, or what is done with a record.
"""
