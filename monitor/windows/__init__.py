"""Windows: counts that add and subtract exactly.

In: scored showers. Out: windows, the rows of places that they fill, and memories of them by second.
Never: a floating-point sum, an expectation, or anything that depends on order.
"""
