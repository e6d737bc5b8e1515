"""Every error that ftcore raises on purpose, in one place, and how its messages count.

    FtcoreError                 exit code 1: something crashed; what was done so far is kept
    ├── UsageError              exit code 2: the command or a spec is wrong
    │   └── SpecError             one or more faults in a spec, all listed at once
    ├── Refusal                 exit code 3: the evidence says no; the champion stays
    │   ├── DataRefused           the data set is unfit (faulty file, failed expectation, leak budget passed)
    │   ├── GateChanged           what decides a promotion is not what the ledger has on record
    │   └── PromotionRefused      the promotion may not happen
    │       └── StaleChampion       somebody else promoted first (compare-and-set lost) or an old fencing token
    ├── DataUnavailable         a data repository, remote, revision or path cannot be reached
    │   └── DataMissing           exit code 2: the data is there, but not the folder or file that the spec names
    ├── BaseModelError          a base model cannot be found, fails its checksum or is not safetensors
    ├── IntegrityError          stored bytes do not match their manifest, or the ledger's chain is broken
    ├── TrainingDiverged        loss or weights became NaN or infinite
    ├── WorkerFailed            one of several processes of a training was killed or crashed
    ├── TuningFailed            a search for settings ended without one trial that finished
    ├── ServiceUnavailable      MLflow, Airflow or the ftcore server does not answer (worth a retry)
    └── StorageError            the disk refused a write (full, read-only, no permission)

Each message says what was seen, what was wanted, and in `hint` what to type next. No message carries row text,
secrets or personal data. A missing optional package is a `UsageError` that names the extra to install.
"""

from __future__ import annotations

from collections.abc import Sequence


def num_of(number: int, noun: str, plural: str = "") -> str:
    """A count with its noun, for messages: "1 row", "1,234 rows".

    Args:
        plural: Where it is not the noun with an s.
    """
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"


def first_line(error: BaseException) -> str:
    """The first line of what an exception says, or its class where it says nothing: for messages about a library's error."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


class FtcoreError(Exception):
    """Base of the tree.

    Args:
        message: What was seen and what was wanted, in one or two sentences.
        hint: What to type or change next; empty when nothing can be advised.
        details: Further lines shown below the message (for example every fault of a spec).
    """

    exit_code = 1
    transient = False  # True: the same call may succeed later, so Airflow may retry it

    def __init__(self, message: str, *, hint: str = "", details: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.details = tuple(details)

    def __str__(self) -> str:
        lines = [self.message, *(f"  - {line}" for line in self.details)]
        if self.hint:
            lines.append(f"  Try: {self.hint}")
        return "\n".join(lines)


class UsageError(FtcoreError):
    """The command line, an argument or a configuration value is wrong."""

    exit_code = 2


class SpecError(UsageError):
    """A spec has faults; `details` holds one line per fault: path, value seen, values allowed."""


class Refusal(FtcoreError):
    """The evidence says no. Nothing downstream happens and the champion stays."""

    exit_code = 3


class DataRefused(Refusal):
    """The data set is unfit to train or judge on."""


class GateChanged(Refusal):
    """What decides a promotion is not what the ledger has on record."""


class PromotionRefused(Refusal):
    """A promotion may not happen: no passing verdict, a mismatch, or a failed check of the package."""


class StaleChampion(PromotionRefused):
    """The champion is no longer the one this candidate was compared with, or the fencing token is old."""


class DataUnavailable(FtcoreError):
    """A data repository, DVC remote, revision or path cannot be reached."""


class DataMissing(DataUnavailable):
    """A folder or file that the spec names is not there: the spec is wrong, or the data is not where it says."""

    exit_code = 2


class DataUnreachable(DataUnavailable):
    """The network on the way to a data repository or DVC remote failed; it may work again in a minute."""

    transient = True


class BaseModelError(FtcoreError):
    """A base model cannot be found, fails its checksum, or is not in safetensors format."""


class IntegrityError(FtcoreError):
    """Stored bytes differ from what their manifest or the ledger's chain says."""


class TrainingDiverged(FtcoreError):
    """Loss, gradients or weights became NaN or infinite; nothing was saved past the last finite checkpoint."""


class WorkerFailed(FtcoreError):
    """One of the processes that train together ended without saying why; the checkpoints so far are kept."""


class TuningFailed(FtcoreError):
    """A search for settings ended without one trial that finished; `details` say why the trials did not."""


class ServiceUnavailable(FtcoreError):
    """MLflow, Airflow or the ftcore server does not answer."""

    transient = True


class StorageError(FtcoreError):
    """The file system refused a write: full, read-only, or no permission."""
