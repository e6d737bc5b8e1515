"""Records of what makes a candidate: a training run with its phases, a search for settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from ftcore.records.base import Record


@dataclass(frozen=True, kw_only=True)
class PhaseRun:
    """What one phase of a training run did, besides the one that gave the model."""

    name: str
    """adapt, teacher, or tune (where ratings follow)."""
    num_steps: int
    best_step: int
    first_validation_loss: float
    best_validation_loss: float
    train_s: float
    """Seconds; 0 where an earlier attempt had finished it."""


@dataclass(frozen=True, kw_only=True)
class TrainingRun(Record):
    """train: a candidate. `uri`/model holds safetensors, tokenizer and label map."""

    kind: ClassVar[str] = "training_run"

    uri: str
    model_digest: str
    """SHA-256 of the model folder's manifest: the identity of the model everywhere."""
    base_digest: str
    base_name: str
    data_digest: str
    """`train_digest` of the PreparedDataset trained on."""
    method: str
    device: str
    precision: str
    num_steps: int
    num_epochs: float
    best_step: int
    best_validation_loss: float
    train_s: float
    samples_per_s: float
    num_trainable: int
    num_parameters: int
    compute: str = ""
    """Device, number format, attention kernel, threads and optimizer kernel, for people."""
    started_from: str | None = None
    """Digest of the champion whose weights training started from; None: the base model's."""
    micro_batch_size: int | None = None
    """Rows per forward pass at the end; None in records of before there was a choice: the batch size."""
    num_out_of_memory: int = 0
    """How often memory ran out and the rows per forward pass were halved."""
    averaged_steps: tuple[int, ...] = ()
    """Checkpoints whose mean the weights are; empty: those of `best_step` alone."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The sections `method` and `training` as they were in force: those of the spec, or what a search has chosen."""
    shots: int | None = None
    """Rows of each class trained on (few-shot); None: all."""
    taught_by: str | None = None
    """Digest of the teacher of a distilled model; None: it had none."""
    phases: tuple[PhaseRun, ...] = ()
    """Phases before the one that gave the model, in order."""

    @property
    def digest(self) -> str:
        return self.model_digest


@dataclass(frozen=True, kw_only=True)
class Rescored:
    """Settings of one trial, trained anew on fresh seeds."""

    trial: int
    score: float
    """What the trial itself had."""
    mean: float
    spread: float
    """Standard deviation over the seeds (n - 1); 0 where there is one."""
    scores: tuple[float, ...]
    """One per fresh seed."""


@dataclass(frozen=True, kw_only=True)
class TuningResult(Record):
    """tune: the settings that the later stages use. Scores are of the validation split."""

    kind: ClassVar[str] = "tuning_result"

    uri: str
    data_digest: str
    """`train_digest` of the PreparedDataset searched on."""
    metric: Literal["loss", "accuracy"]
    settings: Mapping[str, Any]
    """Chosen values by dotted field name."""
    settings_digest: str
    chosen_trial: int
    trials_uri: str
    """One JSON line per trial: settings, state, score, curve, reason."""
    num_trials: int
    num_complete: int
    num_pruned: int
    num_failed: int
    search_s: float
    """Seconds in which trials ran; side by side they count once."""
    rescore_s: float
    best_trial: int
    best_score: float
    """What the best trial had: too good, for it is the best of many."""
    own_trial: int | None
    """The trial of the spec's own settings; None: the space does not hold them, or they did not finish."""
    rescored: tuple[Rescored, ...] = ()
    """Best mean first; empty where `tuning.rescore.seeds` is 0."""
    optimism: float | None = None
    """By how much the best trial looked better than its settings are on fresh seeds; None: not re-scored."""

    @property
    def digest(self) -> str:
        return self.settings_digest
