"""Channels: names, groups, and which channels the cells of a shower are."""

import numpy as np
import pytest

from models.detector.channels import ABSENT, Channels, ChannelsError
from models.detector.grids import build
from models.detector.parts import GridGroup, GridLayer, Part


def barrel(**changes: object) -> Part:
    """Return 2 x 3 modules of 5 x 4 crystals, closed in φ, with cards of 5 x 2."""
    given: dict[str, object] = {
        "name": "EB",
        "modules": (2, 3),
        "layers": (GridLayer("crystals", (5, 4), patch=(3, 3)),),
        "sectors": ("EB-", "EB+"),
        "wrap": "columns",
        "size": (0.5, 0.4),
        "start": (-0.5, 0.0),
        "groups": (GridGroup("card", (5, 2)),),
    }
    return Part(**(given | changes))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def channels() -> Channels:
    return build((barrel(),), ("eta", "phi"))


def seeds(*ids: int) -> np.ndarray:
    return np.array(ids, np.uint32)


def test_a_channel_is_found_by_its_name_and_named_by_its_id(channels: Channels) -> None:
    assert len(channels) == 2 * 3 * 20
    assert channels.name(0) == "EB-1/1"
    assert channels.name(119) == "EB+3/20"
    assert all(channels.find(channels.name(c)) == c for c in range(len(channels)))


def test_a_name_that_no_channel_has_is_refused_in_one_line(channels: Channels) -> None:
    with pytest.raises(ValueError, match=r"no channel is named 'EB-1/21': names are like EB-1/1$"):
        channels.find("EB-1/21")


def test_channels_lie_where_their_module_does(channels: Channels) -> None:
    at = channels.find("EB+2/1")
    assert channels.position[at] == pytest.approx([0.0 + 0.05, 0.4 + 0.05])
    assert channels.size[at] == pytest.approx([0.1, 0.1])
    assert channels.region[at] == 4


def test_a_patch_is_the_seed_and_its_neighbours(channels: Channels) -> None:
    seed = channels.find("EB-2/6")
    names = [channels.name(c) for c in channels.patches(seeds(seed))[0]]
    assert names == [f"EB-2/{n}" for n in (1, 2, 3, 5, 6, 7, 9, 10, 11)]
    assert channels.rings.tolist() == [1, 1, 1, 1, 0, 1, 1, 1, 1]


def test_a_patch_goes_around_in_phi_and_across_modules(channels: Channels) -> None:
    seed = channels.find("EB-1/17")  # first column, last row: beside EB-3 and below EB+1
    names = [channels.name(c) for c in channels.patches(seeds(seed))[0]]
    assert names == [
        "EB-3/16", "EB-1/13", "EB-1/14",
        "EB-3/20", "EB-1/17", "EB-1/18",
        "EB+3/4", "EB+1/1", "EB+1/2",
    ]  # fmt: skip


def test_cells_outside_of_the_detector_are_absent(channels: Channels) -> None:
    patch = channels.patches(seeds(channels.find("EB+2/18")))[0].reshape(3, 3)
    assert (patch[2] == ABSENT).all()
    assert (patch[:2] >= 0).all()
    open_ended = build((barrel(wrap=""),))
    patch = open_ended.patches(seeds(open_ended.find("EB-1/1")))[0].reshape(3, 3)
    assert (patch == ABSENT).tolist() == [[True] * 3, [True, False, False], [True, False, False]]


def test_every_patch_of_a_closed_ring_holds_each_neighbour_once() -> None:
    ring = build((barrel(wrap="columns"),))
    patches = ring.patches(np.flatnonzero(ring.may_seed).astype(np.uint32))
    there = patches[patches >= 0]
    # Rows at the two ends have 6 neighbours and themselves in 6 patches, all others in 9.
    counts = np.bincount(there, minlength=len(ring)).reshape(2, 3, 5, 4)
    assert (counts[0, :, 0] == 6).all()
    assert (counts[1, :, 4] == 6).all()
    assert (counts[0, :, 1:] == 9).all()


def test_a_bad_channel_is_lacking_in_every_cell_of_the_patches_around_it(
    channels: Channels,
) -> None:
    bad = np.zeros(len(channels), bool)
    bad[len(channels) // 2] = True
    new = set(channels.lacking(bad)) - set(channels.absences)
    patches = channels.patches(np.flatnonzero(~bad).astype(np.uint32))
    assert {tuple(np.flatnonzero((row < 0) | bad[row]).tolist()) for row in patches} - {()} == set(
        channels.lacking(bad)
    )
    assert len(new) >= channels.n_cells - 1


def test_missing_channels_have_no_id_and_are_absent_in_patches() -> None:
    holed = GridLayer("crystals", (5, 4), patch=(3, 3), missing=((1, 1, 1, 2),))
    channels = build((barrel(layers=(holed,)),))
    assert len(channels) == 118
    with pytest.raises(ValueError, match="no channel"):
        channels.find("EB-1/6")
    patch = channels.patches(seeds(channels.find("EB-1/5")))[0].reshape(3, 3)
    assert (patch == ABSENT).tolist() == [[False] * 3, [False, False, True], [False] * 3]


def test_layers_of_other_cells_are_taken_around_the_middle_of_the_seed() -> None:
    layers = (
        GridLayer("strips", (8, 2), patch=(4, 1)),
        GridLayer("middle", (4, 4), patch=(3, 3)),
        GridLayer("back", (2, 4), patch=(1, 3)),
    )
    channels = build((Part("C", (1, 1), layers, seed="middle"),))
    assert channels.may_seed.sum() == 16
    patch = channels.patches(seeds(channels.find("C1/middle/6")))[0]  # row 1, column 1
    names = [channels.name(c) for c in patch]
    assert names[:4] == [f"C1/strips/{n}" for n in (3, 5, 7, 9)]  # rows 1 to 4 around edge 3
    assert names[13:] == [f"C1/back/{n}" for n in (1, 2, 3)]
    assert channels.rings[:4].tolist() == [1, 0, 0, 1]


def test_a_seed_must_be_a_channel_of_the_layer_of_seeds() -> None:
    layers = (GridLayer("front", (1, 1)), GridLayer("back", (1, 1)))
    channels = build((Part("C", (1, 2), layers, seed="back"),))
    with pytest.raises(ValueError, match=r"seed 0 \(C1/front/1\): no patch is centred on it"):
        channels.patches(seeds(1, 0))
    with pytest.raises(ValueError, match="seed 9: channels are 0 to 3"):
        channels.patches(seeds(1, 9))


def test_groups_are_blocks_of_a_module(channels: Channels) -> None:
    assert len(channels.groups) == 12
    assert [channels.name(c) for c in channels.groups["EB-2/card2"]] == [
        f"EB-2/{n}" for n in (3, 4, 7, 8, 11, 12, 15, 16, 19, 20)
    ]
    assert channels.members("EB-2/card2").tolist() == channels.groups["EB-2/card2"].tolist()
    assert channels.members("EB-2/7").tolist() == [channels.find("EB-2/7")]
    with pytest.raises(ValueError, match="like EB-1/1, of groups like EB-1/card1"):
        channels.members("EB-2/card9")


def test_parts_count_on() -> None:
    end = barrel(name="EE", modules=(1, 2), sectors=(), wrap="")
    channels = build((barrel(), end))
    assert len(channels) == 160
    assert channels.find("EE1/1") == 120
    assert channels.region[120] == 6
    assert (channels.patches(seeds(120))[0] >= 120).sum() == 4


def test_modules_are_named_by_their_sector_or_by_their_row() -> None:
    layers = (GridLayer("crystals", (1, 1)),)
    assert barrel().regions[3] == ("EB+1", "EB+")
    assert Part("C", (2, 2), layers).regions[2] == ("C2-1", "C2")
    assert Part("C", (1, 2), layers).regions[1] == ("C2", "C")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"modules": (0, 3)}, r"modules \(0, 3\) must be two counts"),
        ({"wrap": "phi"}, "wrap 'phi' is not rows or columns"),
        ({"sectors": ("EB-",)}, "1 sectors for 2 rows of modules"),
        ({"size": (0.0, 1.0)}, "size must be > 0"),
        ({"seed": "strips"}, r"seed 'strips' is none of \['crystals'\]"),
        ({"groups": (GridGroup("card", (2, 2)),)}, "do not fill a module"),
        ({"groups": (GridGroup("card", (5, 2), "x"),)}, "layer 'x' is none of"),
        ({"layers": (GridLayer("crystals", (5, 4), patch=(3, 2)),)}, "must be odd"),
        ({"layers": (GridLayer("crystals", (5, 4), patch=(3, 13)),)}, "patch 13 of 12 cells"),
        (
            {"layers": (GridLayer("c", (5, 4), (3, 3), ((0, 10, 0, 0),)),)},
            "of 10 rows, 12 columns",
        ),
    ],
)
def test_a_part_that_cannot_be_is_refused_in_one_line(
    changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ChannelsError, match=message) as error:
        barrel(**changes)
    assert "\n" not in str(error.value)


def test_channels_of_one_name_are_refused() -> None:
    with pytest.raises(ChannelsError, match="two channels are named 'EB-1/1'"):
        build((barrel(), barrel()))


def test_the_barrel_of_61200_crystals_is_quick_and_small() -> None:
    part = Part(
        "EB", (2, 18), (GridLayer("crystals", (85, 20), patch=(5, 5)),),
        sectors=("EB-", "EB+"), wrap="columns",
    )  # fmt: skip
    channels = build((part,))
    assert len(channels) == 61_200
    assert channels.name(channels.find("EB-12/34")) == "EB-12/34"
    everything = channels.patches(np.arange(61_200, dtype=np.uint32))
    assert everything.shape == (61_200, 25)
    assert (everything[:, 12] == np.arange(61_200)).all()
