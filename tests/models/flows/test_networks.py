"""Networks: order is kept, and building one takes no memory of cells times cells."""

import tracemalloc

import pytest
import torch

from models.flows.flux import Flux
from models.flows.networks import masked
from models.flows.shapes import FluxConfig


@pytest.mark.parametrize("hidden", [(4,), (64,), (40, 3, 20)])
def test_outputs_see_the_inputs_of_earlier_places_alone(hidden):
    torch.manual_seed(1)
    places = (0, 0, 1, 2, 2, 3)
    network = masked(places, 1, places, hidden)
    with torch.no_grad():  # so that no unit is dead
        for parameter in network.parameters():
            parameter.abs_()
    slope = torch.autograd.functional.jacobian(network, torch.ones(7))
    for out, place in enumerate(places):
        for given, earlier in enumerate(places):
            if earlier >= place:
                assert slope[out, given] == 0
        assert slope[out, 6] != 0
    if len(hidden) == 1 and hidden[0] >= 4:
        assert all(
            (slope[o] != 0).sum() == 1 + sum(p < places[o] for p in places) for o in range(6)
        )


def test_units_are_spread_over_the_places_where_there_are_fewer():
    places = tuple(range(100))
    network = masked(places, 1, places, (5,))
    assert network[0].mask.sum(1).tolist() == [1, 25, 50, 75, 100]


def test_a_flow_of_many_cells_is_built_in_the_memory_of_its_weights():
    v = 20_000
    tracemalloc.start()
    try:
        flow = Flux(FluxConfig(v, 1, 1, tuple(range(v)), 2, 2, (4,)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sum(w.numel() for w in flow.state_dict().values()) < 60 * v
    assert peak < 200e6
