"""Gallery: the strange showers of late, kept so that people can look at them."""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import TYPE_CHECKING

from consumers.http.page import ShowerCoordinates
from consumers.wire import strange, topics
from consumers.wire.block import DecodeError
from consumers.wire.letters import Unsent
from monitor.display.pictures import ShowerPicture

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from consumers.kafka.log import KafkaLog
    from consumers.wire.letters import Letters
    from consumers.wire.strange import StrangeShower
    from models.detector.geometry import Geometry
    from monitor.detector.tree import Detector

KEPT = 4000
"""Most showers kept in memory ..."""

KEPT_BYTES = 64 << 20
"""... and most memory that they may take: a shower is 8 bytes a cell."""

LOOK_BACK = 500
"""Records of the anomalies topic that a new judge begins with."""


UNSENT = Unsent()


class Gallery:
    """Follows the anomalies topic in a thread and hands out pictures in others."""

    def __init__(
        self,
        geometry: Geometry,
        detector: Detector,
        topic: str,
        typical: Callable[[NDArray[np.float32]], NDArray[np.float32]],
        letters: Letters = UNSENT,
    ) -> None:
        """Prepare a gallery.

        Parameters
        ----------
        typical
            Returns unremarkable showers of the energies of those given, MeV, shape (N, V).
        """
        self._geometry = geometry
        self._typical = typical
        self._detector = detector
        self._letters = letters
        self._kept = max(1, min(KEPT, KEPT_BYTES // (8 * geometry.n_cells)))
        self._topic = topic
        self._showers: OrderedDict[ShowerCoordinates, StrangeShower] = OrderedDict()

    def follow(self, log: KafkaLog, stopping: threading.Event) -> None:
        """Take in what comes until told to stop."""
        first, end = log.bounds(topics.ANOMALIES)
        begin = max(first, end - LOOK_BACK)
        for record in log.follow(topics.ANOMALIES, stopping, begin=begin):
            if record is None:
                continue
            try:
                showers = strange.decode(record.value, self._geometry)
            except DecodeError as error:
                self._letters.refuse(record, error)
                continue
            for shower in showers:
                place = ShowerCoordinates(self._topic, shower.partition, shower.offset, shower.row)
                self._showers[place] = shower
            while len(self._showers) > self._kept:
                self._showers.popitem(last=False)

    def picture(self, place: ShowerCoordinates) -> ShowerPicture | None:
        """Return what is to be drawn of a shower, None if it is not kept."""
        shower = self._showers.get(place)
        if shower is None:
            return None
        region = self._detector.by_id.get(shower.region)
        name = region.name if region is not None else str(shower.region)
        energy = "" if math.isnan(shower.e_inc) else f", {shower.e_inc / 1000:.1f} GeV"
        return ShowerPicture(
            geometry=self._geometry,
            cells=shower.cells,
            expected=self._typical(shower.cells[None])[0],
            pull=shower.pull,
            title=f"{name}{energy}, p = {shower.p:.1e}",
        )
