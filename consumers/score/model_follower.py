"""Model follower: keeps a worker's models as the models topic says, while the worker goes on."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from consumers.score.scoring import ModelsInForce
from consumers.wire import topics
from consumers.wire.artefact_form import ModelAbsent
from consumers.wire.block import DecodeError
from consumers.wire.control import UNSENT, control_of, notice_of
from consumers.wire.record import Unavailable
from monitor.quality.acknowledgements import NOTHING_MASKED
from monitor.quality.rejection import Rejection

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from consumers.kafka.log import KafkaLog
    from consumers.score.scoring import ScoringModel
    from consumers.wire.control import Control, Notice
    from consumers.wire.letters import Letters
    from consumers.wire.ranges import Stream
    from consumers.wire.record import Record

logger = logging.getLogger(__name__)

AGAIN_S = 5.0
"""A model that could not be had is asked for again after this."""


class ModelFollower:
    """Follows the topic in a thread; the worker asks for its `lineup` in another.

    Parameters
    ----------
    own
        The model of the settings: what scores until the topic names one.
    model_of
        Returns a model by its hash, or raises `ModelAbsent`; it may take seconds.
    letters
        Takes what cannot be read.
    """

    def __init__(
        self, own: ScoringModel, model_of: Callable[[str], ScoringModel], letters: Letters = UNSENT
    ) -> None:
        self._letters = letters
        self._model_of = model_of
        self._known = {own.hash: own}
        self._own = own
        self._control: Control | None = None
        self._wanting = False
        """A model that is in force could not be had yet."""

        self._asked = 0.0
        self._notices: dict[Stream, Notice] = {}
        self._read = threading.Event()
        self._lineup: ModelsInForce | None = None
        self._learner: threading.Thread | None = None
        self._not_learnt: list[tuple[ScoringModel, tuple[int, ...]]] = []
        """Cells of a model that nothing could be learnt of."""

        self._problem = f"{topics.MODELS} has not been read yet"

    def lineup(self) -> ModelsInForce:
        """Return the models that score now, the same object until they change.

        Raises
        ------
        Unavailable
            If the topic was not read yet, or names a model that cannot be had.
        """
        lineup = self._lineup
        if lineup is None:
            raise Unavailable(self._problem)
        return lineup

    def notices(self) -> Mapping[Stream, Notice]:
        """Return the newest notice on each partition that there was one on."""
        return self._notices

    def wait(self, stopping: threading.Event, beat: Callable[[], None]) -> None:
        """Wait until the topic has been read once, or until told to stop."""
        while not self._read.wait(0.2) and not stopping.is_set():
            beat()

    def follow(self, log: KafkaLog, stopping: threading.Event) -> None:
        """Take in what comes until told to stop."""
        begin = 0
        for record in log.read_all(topics.MODELS):
            begin = record.offset + 1
            self._hear(record)
        self._line_up()
        self._read.set()
        for found in log.follow(topics.MODELS, stopping, begin=begin):
            if (found is not None and self._hear(found)) or (
                self._wanting and time.monotonic() - self._asked > AGAIN_S
            ):
                self._line_up()
            self._learn_aside()

    def _hear(self, record: Record) -> bool:
        """Take in a record; return whether it puts other models in force."""
        notice = notice_of(record)
        if notice is not None:
            self._notices[notice.stream] = notice
        said = self._control_of(record)
        before = self._control
        # What is older is of a judge that did not know yet that another is in office.
        if said is None or (before is not None and said.at < before.at):
            return False
        self._control = said
        return before is None or any(
            getattr(before, name) != getattr(said, name) for name in ("primary", "shadow", "masked")
        )

    def _control_of(self, record: Record) -> Control | None:
        said = control_of(record, self._letters)
        cells = range(self._own.scorer.geometry.n_cells)
        if said is None or all(c in cells for _, masked in said.masked.cells for c in masked):
            return said
        error = DecodeError(Rejection.VALUE, f"masks cells that are not in {cells}")
        self._letters.refuse(record, error)
        return None

    def _line_up(self) -> None:
        """Put the models in force in their places, as far as they can be had."""
        self._wanting, self._asked = False, time.monotonic()
        said = self._control
        primary = self._own if said is None else self._had(said.primary)
        shadow = self._had(said.shadow) if said is not None and said.shadow else None
        self._known = {model.hash: model for model in (self._own, primary, shadow) if model}
        # By no other model than the one in force: its windows would not be judged.
        masked = NOTHING_MASKED if said is None else said.masked
        lineup = None if primary is None else ModelsInForce(primary, shadow, masked)
        if lineup != self._lineup:
            self._lineup = lineup
            self._not_learnt = []
        self._learn_aside()

    def _learn_aside(self) -> None:
        """Learn what to expect without some cells in a thread; of masked ones all is unknown meanwhile."""
        busy = self._learner is not None and self._learner.is_alive()
        if not busy and self._to_learn() is not None:
            self._learner = threading.Thread(target=self._learn, name="masks", daemon=True)
            self._learner.start()

    def _to_learn(self) -> tuple[ScoringModel, tuple[int, ...]] | None:
        unlearnt = self._lineup.unlearnt() if self._lineup is not None else []
        return next((each for each in unlearnt if each not in self._not_learnt), None)

    def _learn(self) -> None:
        while (wanted := self._to_learn()) is not None:
            model, cells = wanted
            began = time.monotonic()
            try:
                model.learn(cells)
            except ValueError as error:  # of files, showers and tables: all are
                self._not_learnt.append(wanted)
                text = "without %d cells: not learnt; masked, their regions stay unknown: %s"
                logger.warning(text, len(cells), error)
            else:
                took = time.monotonic() - began
                logger.info("without %d cells: learnt in %.1f s", len(cells), took)
        if self._lineup is not None:
            self._lineup.forget()

    def _had(self, model: str) -> ScoringModel | None:
        if model in self._known:
            return self._known[model]
        try:
            return self._model_of(model)
        except ModelAbsent as absent:
            self._wanting, self._problem = True, str(absent)
            logger.warning("%s", absent)
            return None
