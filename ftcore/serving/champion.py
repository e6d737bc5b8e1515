"""The champion in memory: checked, loaded, and swapped when the ledger's head moves."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from ftcore.errors import FtcoreError, IntegrityError
from ftcore.ledger import Head, Ledger
from ftcore.models.devices import choose
from ftcore.models.generation import Generator
from ftcore.models.inference import Predictor
from ftcore.models.loading import load_model
from ftcore.registry.package import package_spec, verify_package
from ftcore.serving.log import now_utc
from ftcore.serving.models import AnyModel, Model, ReplyModel
from ftcore.store import Store

Loader = Callable[[Head, Store], AnyModel]

RETRY_POLLS = 30
"""A champion that failed to load is tried again after so many polls (it may have been a full disk or a full GPU)."""

_log = logging.getLogger(__name__)


def load_champion(head: Head, store: Store) -> AnyModel:
    """Verify a champion's package, then load its model as its spec says (length, device, precision, cleaning, generation).

    Raises:
        IntegrityError: The package is missing, damaged, not the model that the ledger names, or not one of its spec's task.
        BaseModelError: The model has too few positions for the spec's answers.
    """
    folder = store.resolve(head.package_uri)
    verify_package(folder)
    if folder.name != head.model_digest:
        raise IntegrityError(f"The ledger names model {head.model_digest[:12]}, its package is {folder.name[:12]}.")
    spec = package_spec(folder)
    device = choose(spec.compute)
    device.prepare()
    loaded, cleans, settings = load_model(folder / "model"), spec.prepare.fix_encoding, spec.evaluation
    if (loaded.kind == "classifier") != (spec.task == "classification"):
        raise IntegrityError(f"{folder} holds a {loaded.kind}, its spec has the task {spec.task}.")
    if loaded.kind == "classifier":
        return Model(Predictor(loaded, device, spec.training.max_length, settings.batch_size), cleans)
    answers = settings.generation
    generator = Generator(loaded, device, spec.training.max_length, settings.batch_size, answers)
    return ReplyModel(generator, cleans, answers.max_new_tokens)


@dataclass(frozen=True)
class Champion:
    """One model that answers; replaced as a whole, so a reader always sees a matching pair."""

    head: Head
    model: AnyModel
    loaded_at: str


@dataclass
class Slot:
    """The place of one spec's champion. `refresh` follows the ledger; `current` is read without a lock (one reference).

    A new champion is loaded beside the old one, which answers until the swap. If loading fails, the old one stays and an
    alert goes to the outbox.
    """

    spec: str
    ledger: Ledger
    store: Store
    load: Loader = load_champion
    current: Champion | None = None
    fault: str = ""
    """One line: why the ledger's head is not what is served; empty when it is."""
    _failed_seq: int = 0
    _polls_to_wait: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def refresh(self) -> bool:
        """Look at the head once; load and swap if it moved. Returns whether the champion changed. Whatever loading raises ends up
        in `fault`."""
        with self._lock:
            try:
                head = self.ledger.head(self.spec)
            except FtcoreError as error:
                self.fault = f"the ledger does not answer: {error.message}"
                return False
            if head is None or (self.current is not None and head.seq == self.current.head.seq):
                self.fault = ""
                return False
            if head.seq == self._failed_seq and self._polls_to_wait > 0:
                self._polls_to_wait -= 1
                return False
            return self._swap(head)

    def _swap(self, head: Head) -> bool:
        same_weights = self.current is not None and self.current.head.model_digest == head.model_digest
        try:
            # A rollback to what is loaded already needs no second copy.
            model = self.current.model if same_weights and self.current else self.load(head, self.store)
        except Exception as error:  # noqa: BLE001 (CUDA out of memory is a RuntimeError; whatever it is, the old model goes on)
            self._failed(head, error)
            return False
        self.current = Champion(head, model, now_utc())
        self.fault = ""
        return True

    def _failed(self, head: Head, error: Exception) -> None:
        what = error.message if isinstance(error, FtcoreError) else f"{type(error).__name__}: {error}"
        what = " ".join(what.split())[:500]  # CUDA's messages have many lines
        self.fault = f"champion {head.model_digest[:12]} cannot be loaded: {what}"
        self._failed_seq, self._polls_to_wait = head.seq, RETRY_POLLS
        trace = None if isinstance(error, FtcoreError) else error
        _log.error("%s: %s; tried again after %d polls", self.spec, self.fault, RETRY_POLLS, exc_info=trace)
        old = f"model {self.current.head.model_digest[:12]} stays" if self.current else "nothing is served"
        try:
            self.ledger.enqueue_alert(
                self.spec, "critical", f"{self.spec}: the server cannot load the champion", f"{self.fault}; {old}.",
                f"serving:{self.spec}:{head.seq}",
            )  # fmt: skip
        except FtcoreError as ledger_error:
            self.fault += f"; the alert could not be queued either: {ledger_error.message}"
