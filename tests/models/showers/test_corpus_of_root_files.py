"""ROOT files hold the same showers, however they are written."""

import numpy as np
import pytest
from corpus_of_files import (
    ENERGIES,
    ENERGY_SHAPES,
    GEOMETRY,
    LAYOUTS,
    NUMBERS,
    ROOT_STORAGE,
    N,
    columns,
    holds,
    root,
    uproot,
    written,
)

from models.showers.layouts import Reading
from models.showers.readers import ReaderError, open_source


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
def test_root_of_every_type_and_compression(tmp_path, layout):
    # ROOT has no halves.
    kinds = ([kind for kind in of if kind != "f2"] for of in (NUMBERS, ENERGIES))
    for storage, content in written(layout, ROOT_STORAGE, *kinds):
        holds(root(tmp_path / "a.root", content, storage=storage))


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
def test_root_as_vectors_as_an_ntuple_and_in_directories(tmp_path, layout):
    for shape in ENERGY_SHAPES:
        content = columns(layout, shape=shape)
        for cells in ("f4", "f8", "i4"):
            holds(root(tmp_path / "n.root", columns(layout, cells, shape=shape), "ntuple"))
        if max(values.ndim for values in content.values()) <= 2:  # what uproot can write
            holds(root(tmp_path / "v.root", content, "vector"))
        for at in ("ana/events", "events/events", "a/b/c"):
            holds(root(tmp_path / "d.root", content, at=at))


def test_the_newest_cycle_of_a_tree_is_the_tree(tmp_path):
    path = tmp_path / "a.root"
    content = columns("flat", shape="row")
    types = {name: (v.dtype, v.shape[1:]) for name, v in content.items()}
    with uproot.recreate(path) as file:
        for n in (3, 7, N):
            file.mktree("events", types).extend({name: v[:n] for name, v in content.items()})
        assert len(file.keys()) == 3
    holds(path)


def test_of_several_trees_somebody_says_which(tmp_path):
    path = tmp_path / "a.root"
    content = columns("flat", shape="row")
    types = {name: (v.dtype, v.shape[1:]) for name, v in content.items()}
    with uproot.recreate(path) as file:
        file.mktree("few", types).extend({name: v[:3] for name, v in content.items()})
        file.mktree("all", types).extend(content)
        file.mktree("other", {"x": "i4"}).extend({"x": np.arange(3)})
    with pytest.raises(ReaderError, match="showers in `few` and `all`: say which by --table"):
        open_source(path, GEOMETRY)
    holds(path, table="all")
    with pytest.raises(ReaderError, match="no showers in 'other', but in few, all"):
        open_source(path, GEOMETRY, Reading(table="other"))
