"""The champion in memory: checked, loaded, and swapped when the ledger's head moves."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ftcore.errors import FtcoreError, IntegrityError, SpecError
from ftcore.ledger import Head, Ledger
from ftcore.models.devices import choose
from ftcore.models.inference import Predictor
from ftcore.models.loading import load_classifier
from ftcore.registry.package import verify_package
from ftcore.serving.log import now_utc
from ftcore.spec import FineTuneSpec, load_spec
from ftcore.store import Store

Loader = Callable[[Head, Store], Predictor]

RETRY_POLLS = 30
"""A champion that failed to load is tried again after so many polls (it may have been a full disk)."""


def load_champion(head: Head, store: Store) -> Predictor:
    """Verify a champion's package, then load its model as its spec says (length, device, precision).

    Raises:
        IntegrityError: The package is missing, damaged, or not the model that the ledger names.
    """
    folder = store.resolve(head.package_uri)
    verify_package(folder)
    spec = package_spec(folder)
    device = choose(spec.compute)
    device.prepare()
    return Predictor(load_classifier(folder / "model"), device, spec.training.max_length, spec.evaluation.batch_size)


def package_spec(folder: Path) -> FineTuneSpec:
    """The spec that a packaged model was made with.

    Raises:
        IntegrityError: It is missing or not readable by this ftcore.
    """
    try:
        return load_spec(folder / "spec.yaml")
    except SpecError as error:
        raise IntegrityError(f"{folder} holds no readable spec.yaml.", details=error.details) from error


@dataclass(frozen=True)
class Champion:
    """One model that answers; replaced as a whole, so a reader always sees a matching pair."""

    head: Head
    predictor: Predictor
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
    """Why the ledger's head is not what is served; empty when it is."""
    _failed_seq: int = 0
    _polls_to_wait: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def refresh(self) -> bool:
        """Look at the head once; load and swap if it moved. Returns whether the champion changed. Never raises ftcore errors."""
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
            predictor = self.current.predictor if same_weights and self.current else self.load(head, self.store)
        except (FtcoreError, OSError, MemoryError) as error:
            self._failed(head, error)
            return False
        self.current = Champion(head, predictor, now_utc())
        self.fault = ""
        return True

    def _failed(self, head: Head, error: BaseException) -> None:
        what = error.message if isinstance(error, FtcoreError) else f"{type(error).__name__}: {error}"
        self.fault = f"champion {head.model_digest[:12]} cannot be loaded: {what}"
        self._failed_seq, self._polls_to_wait = head.seq, RETRY_POLLS
        old = f"model {self.current.head.model_digest[:12]} stays" if self.current else "nothing is served"
        try:
            self.ledger.enqueue_alert(
                self.spec, "critical", f"{self.spec}: the server cannot load the champion", f"{self.fault}; {old}.",
                f"serving:{self.spec}:{head.seq}",
            )  # fmt: skip
        except FtcoreError as ledger_error:
            self.fault += f"; the alert could not be queued either: {ledger_error.message}"
