"""Wire: the byte formats of the topics, checked; what a judge says is JSON that its records make.

In: bytes, or values to be written. Out: values that are valid, or one `DecodeError` with its reason.
Never: a broker (`record` has but the shapes that its clients have), or what is done with a record.
"""
