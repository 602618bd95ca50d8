"""Materials: what a calorimeter is made of, as far as electromagnetic showers care."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.detector.geometry import Geometry

E_SCALE = 21.2
"""Multiple-scattering energy scale, MeV."""


class MaterialError(ValueError):
    """A geometry whose materials do not suffice; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Material:
    """A pure medium; mixtures of elements by mass-weighted Z and A."""

    z: float
    a: float
    density: float
    """g/cm³."""

    x0: float
    """Radiation length, g/cm²."""

    @property
    def critical_energy(self) -> float:
        """Return E_c = 2.66 (X0 Z / A)^1.1 in MeV (hep-ex/0001020, section 2)."""
        return float(2.66 * (self.x0 * self.z / self.a) ** 1.1)


# Radiation lengths and densities: Particle Data Group, atomic and nuclear properties.
MATERIALS = {
    "Al": Material(13, 26.98, 2.699, 24.01),
    "BGO": Material(62.5, 155.4, 7.13, 7.97),
    "CsI": Material(54.0, 129.9, 4.51, 8.39),
    "Cu": Material(29, 63.55, 8.96, 12.86),
    "Fe": Material(26, 55.85, 7.874, 13.84),
    "LAr": Material(18, 39.95, 1.390, 19.55),
    "LKr": Material(36, 83.80, 2.418, 11.37),
    "NaI": Material(46.6, 111.0, 3.667, 9.49),
    "Pb": Material(82, 207.2, 11.35, 6.37),
    "PbWO4": Material(68.36, 170.87, 8.30, 7.39),
    "Si": Material(14, 28.09, 2.329, 21.82),
    "U": Material(92, 238.0, 18.95, 6.00),
    "W": Material(74, 183.8, 19.30, 6.76),
    "scintillator": Material(5.61, 10.43, 1.06, 43.79),
}


@dataclass(frozen=True, slots=True)
class Medium:
    """A homogeneous or sampling calorimeter as one effective medium."""

    z: float
    x0_mm: float
    moliere_mm: float
    critical_energy: float
    """MeV."""

    sampling_frequency: float | None
    """F_S = X0_eff / (d_a + d_p); None where the calorimeter is homogeneous."""

    e_hat: float = 1.0
    """1 / (1 + 0.007 (Z_p - Z_a)): what the active medium sees of the energy lost."""


def medium(geometry: Geometry) -> Medium:
    r"""Return the effective medium of a geometry, by the mixing rules of hep-ex/0001020.

    :math:`1/X_0 = \sum w_i / X_{0,i}`, :math:`1/R_M = \sum w_i E_{c,i} / (X_{0,i} E_s)` and
    :math:`E_c = X_0 \sum w_i E_{c,i} / X_{0,i}` with mass fractions :math:`w_i`.

    Raises
    ------
    MaterialError
        If the geometry names no active medium, or one that is not known.
    """
    given = dict(geometry.materials)
    active = _material(given, "active")
    if "passive" not in given:
        x0 = active.x0 / active.density * 10
        return Medium(
            active.z, x0, x0 * E_SCALE / active.critical_energy, active.critical_energy, None
        )
    passive = _material(given, "passive")
    depth = [_thickness(given, name) / 10 for name in ("passive_mm", "active_mm")]
    parts = (passive, active)
    mass = [part.density * d for part, d in zip(parts, depth, strict=True)]
    w = [m / sum(mass) for m in mass]
    density = sum(mass) / sum(depth)
    x0 = 1 / sum(wi / part.x0 for wi, part in zip(w, parts, strict=True))
    loss = sum(wi * part.critical_energy / part.x0 for wi, part in zip(w, parts, strict=True))
    return Medium(
        z=sum(wi * part.z for wi, part in zip(w, parts, strict=True)),
        x0_mm=x0 / density * 10,
        moliere_mm=E_SCALE / loss / density * 10,
        critical_energy=x0 * loss,
        sampling_frequency=x0 / density / sum(depth),
        e_hat=1 / (1 + 0.007 * (passive.z - active.z)),
    )


def _material(given: dict[str, str | float], role: str) -> Material:
    name = given.get(role)
    if name not in MATERIALS:
        raise MaterialError(f"materials: `{role}` is {name!r}; known are {', '.join(MATERIALS)}")
    return MATERIALS[str(name)]


def _thickness(given: dict[str, str | float], name: str) -> float:
    value = given.get(name)
    if not (isinstance(value, int | float) and value > 0):
        raise MaterialError(f"materials: `{name}` must be a thickness in mm, not {value!r}")
    return float(value)


def lateral_cumulative(
    y: NDArray[np.float64], medium: Medium, depth_mm: float
) -> NDArray[np.float64]:
    r"""Return the share of a photon's energy below `y` (mm from its axis), between 0 and 1.

    Core and tail of the form :math:`R^2 / \pi (r^2 + R^2)^2` of hep-ex/0001020, projected on one
    axis: :math:`(1 + y / \sqrt{y^2 + R^2}) / 2`. Radii and shares were set by hand to the mean of
    Geant4 photons of 5 to 20 GeV in Pb/LAr (75 % within 5 mm in the first six radiation lengths,
    94 % within 40 mm after that).

    Parameters
    ----------
    depth_mm
        Where the layer begins, mm from the front face.
    """
    t = depth_mm / medium.x0_mm
    core, tail = (0.073 + 0.02 * t) * medium.moliere_mm, (0.6 + 0.01 * t) * medium.moliere_mm
    share = 0.8 * np.exp(-t / 22)
    parts = [w * y / np.sqrt(y * y + r * r) for w, r in ((share, core), (1 - share, tail))]
    return np.asarray((1 + sum(parts)) / 2)
