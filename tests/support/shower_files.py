"""Shower files of a small detector: cells and energies, and what writes and reads them."""

import h5py

from models.detector.geometry import Geometry, Layer
from models.showers import shipped
from models.showers.layouts import Reading
from models.showers.readers import open_source

PB_LAR = shipped.PB_LAR
SMALL = Geometry(
    "small",
    (
        Layer("front", (2, 3), (5.0, 5.0), (0.0, 10.0)),
        Layer("back", (1, 2), (9.0, 9.0), (10.0, 30.0)),
    ),
    noise_mev=1.0,
)
N = 7


def write(path, **columns):
    with h5py.File(path, "w") as file:
        for name, values in columns.items():
            file[name] = values
    return path


def recording(path, *conditions, **said):
    file = open_source(path, SMALL, Reading(conditions=conditions, **said))
    return file.rows(0, file.n)
