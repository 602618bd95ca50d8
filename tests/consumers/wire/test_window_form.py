"""Windows come back from their bytes as they went, or are refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from memory import TINY
from spoken import FORM, entry, window

from consumers.wire import ranges, window_form
from consumers.wire.block import DecodeError
from consumers.wire.window_form import WindowForm


@settings(max_examples=20)
@given(
    st.lists(
        st.lists(st.integers(0, 65_535), min_size=1, max_size=4, unique=True).map(sorted),
        max_size=4,
    )
)
def test_windows_come_back_as_they_went(regions_of):
    sent = [window(i, i, regions) for i, regions in enumerate(regions_of)]
    value = ranges.encode_range(entry(), sent, FORM)
    assert ranges.header(value) == entry()
    back = window_form.windows(value, FORM)
    assert len(back) == len(sent)
    for a, b in zip(sent, back, strict=True):
        assert a.key == b.key
        assert a.same_counts(b)
        np.testing.assert_array_equal(a.score_bins, b.score_bins)


def test_windows_of_another_model_are_refused():
    value = ranges.encode_range(entry(), [window(0, 0, [1])], FORM)
    with pytest.raises(DecodeError, match="showers is"):
        window_form.windows(value, WindowForm((4, 2, 8), TINY.n_cells, TINY.n_layers))
