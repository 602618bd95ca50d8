"""What fuzzing has found is replayed: every decoder takes it, or refuses it in its own words."""

import decoders
import pytest


@pytest.mark.parametrize("name", decoders.DECODERS)
def test_the_corpus_ends_no_decoder(name):
    for path in decoders.kept(name):
        decoders.DECODERS[name](path.read_bytes())


@pytest.mark.slow
@pytest.mark.parametrize("name", decoders.DECODERS)
def test_neither_does_what_fuzzing_begins_with(name):
    for value in decoders.seeds(name):
        decoders.DECODERS[name](value)


def test_there_is_a_corpus():
    assert sum(len(decoders.kept(name)) for name in decoders.DECODERS) > 50
