"""A spec as a whole."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import (
    PrivateAttr,
    model_validator,
)

from ftcore.spec.base import Name, Section, Task
from ftcore.spec.consistency import (
    GENERATION_DEFAULTS,
    device_faults,
    measure_faults,
    phase_faults,
    search_faults,
    training_faults,
)
from ftcore.spec.data import DataSpec, LeakageSpec, ValidationSpec
from ftcore.spec.evaluation import EvaluationSpec, GateSpec
from ftcore.spec.method import BaseModelSpec, MethodSpec
from ftcore.spec.operation import AlertsSpec, ApprovalSpec, ComputeSpec, MonitoringSpec, ScheduleSpec
from ftcore.spec.prepare import PrepareSpec
from ftcore.spec.training import TrainingSpec
from ftcore.spec.tuning import TuningSpec, raise_all

_HOLDOUT = {"files", "columns", "validation_fraction", "test_fraction", "split_by"}
"""Fields of `data` that say which of a version's rows are the holdout."""
_CLEANED = {"fix_encoding", "strip_html", "deduplicate", "max_chars", "personal_data"}
_PERSONAL = {"personal_kinds", "personal_engine", "presidio", "phone_regions"}
"""Fields of `prepare` that change rows of the holdout, or set them aside; the latter where `personal_data` does either."""


class FineTuneSpec(Section):
    """One model in production: its data, how it is made, what it must show, how it is watched."""

    name: Name
    """Names the model everywhere: DAG ids, MLflow registered model, ledger."""
    task: Task = "classification"
    """What the model does. classification: names a class; instruction: answers in a conversation; seq2seq: turns one text into
    another."""
    description: str = ""
    """For people."""
    data: DataSpec = DataSpec()
    validation: ValidationSpec = ValidationSpec()
    leakage: LeakageSpec = LeakageSpec()
    prepare: PrepareSpec = PrepareSpec()
    base_model: BaseModelSpec
    method: MethodSpec = MethodSpec()
    training: TrainingSpec = TrainingSpec()
    tuning: TuningSpec = TuningSpec()
    evaluation: EvaluationSpec = EvaluationSpec()
    gate: GateSpec = GateSpec()
    approval: ApprovalSpec = ApprovalSpec()
    monitoring: MonitoringSpec = MonitoringSpec()
    alerts: AlertsSpec = AlertsSpec()
    schedule: ScheduleSpec = ScheduleSpec()
    compute: ComputeSpec = ComputeSpec()

    _root: Path = PrivateAttr(default_factory=Path.cwd)

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_task(cls, raw: Any) -> Any:
        """Settings whose default depends on the task become explicit, so that digests and cache keys cover them."""
        if not isinstance(raw, Mapping) or raw.get("task") not in ("instruction", "seq2seq"):
            return raw
        filled = dict(raw)
        for section, defaults in GENERATION_DEFAULTS.items():
            given = filled.get(section, {})
            if isinstance(given, Mapping):
                filled[section] = {**defaults, **given}
        return filled

    @model_validator(mode="after")
    def _measures_fit_task(self) -> FineTuneSpec:
        faults = measure_faults(self.task, self.evaluation, self.gate)
        if faults:
            raise ValueError("; ".join(faults))
        return self

    @model_validator(mode="after")
    def _format_fits_task(self) -> FineTuneSpec:
        if self.data.format != "auto" and (self.data.format == "classification") != (self.task == "classification"):
            raise ValueError(
                f"data.format {self.data.format!r} does not fit task {self.task!r}; wanted `auto` or a format of it"
            )
        return self

    @model_validator(mode="after")
    def _sections_fit(self) -> FineTuneSpec:
        if faults := [*training_faults(self), *phase_faults(self), *device_faults(self)]:
            raise ValueError("; ".join(faults))
        raise_all("FineTuneSpec", [(("tuning", *path), fault) for path, fault in search_faults(self)])
        return self

    @property
    def root(self) -> Path:
        """Project folder: relative paths in the spec start here. Not part of the spec's content or digest."""
        return self._root

    def at(self, path: str) -> Path:
        """Absolute form of a local path written in the spec."""
        return (self.root / Path(path).expanduser()).absolute()

    @property
    def suite(self) -> Path:
        """Where the expectation suite is."""
        return self.at(self.validation.suite or f"expectations/{self.task}.json")

    def part(self, sections: Iterable[str], ignored: Iterable[str] = ()) -> dict[str, Any]:
        """The named sections as plain JSON types: what a stage reads, and so what its cache key covers.

        Args:
            sections: Whole ones, or single fields of them as `section.field`.
            ignored: Fields of whole ones that it does not read, as `section.field`.
        """
        part: dict[str, Any] = {}
        for name, _, field in (path.partition(".") for path in sections):
            section = self.model_dump(mode="json", include={name})[name]
            part[name] = {**part.get(name, {}), field: section[field]} if field else section
        for name, _, field in (path.partition(".") for path in ignored):
            part[name].pop(field)
        return part

    @property
    def gate_rules(self) -> dict[str, Any]:
        """All that decides a promotion, as plain JSON types: the gate, what `evaluation` compares by, which rows are the holdout
        and which of them are cleaned or set aside, what counts as a leak, and who has to approve.

        Of files that it names it has the paths; gate/rules.py adds what is in them.
        """
        names = {"baselines", "must_pass", "slices", "generation", "few_shot", "metrics"}
        if self.gate.max_latency_ms is not None or self.gate.max_latency_ratio is not None:
            names.add("batch_size")  # a time per row is that of its batch
        compared = self.evaluation.model_dump(mode="json", include=names)
        probes = self.evaluation.probes
        if probes is not None and self.gate.probe_guards:
            compared["probes"] = probes.model_dump(mode="json")
        elif probes is not None and probes.canaries is not None:
            compared["probes"] = probes.model_dump(mode="json", include={"canaries", "max_canaries"})
        cleaned = _CLEANED if self.prepare.personal_data == "keep" else _CLEANED | _PERSONAL
        return {
            "gate": self.gate.model_dump(mode="json"),
            "evaluation": compared,
            "data": self.data.model_dump(mode="json", include=_HOLDOUT),
            "prepare": self.prepare.model_dump(mode="json", include=cleaned),
            "validation": self.validation.model_dump(mode="json", include={"max_quarantined"}),
            "leakage": self.leakage.model_dump(mode="json"),
            "approval": self.approval.model_dump(mode="json", include={"required", "approvers", "four_eyes"}),
        }

    @property
    def gate_digest(self) -> str:
        """SHA-256 of the canonical JSON of `gate_rules`: a verdict is only good for these very rules."""
        return hashlib.sha256(json.dumps(self.gate_rules, sort_keys=True).encode()).hexdigest()

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON of the whole spec."""
        return hashlib.sha256(json.dumps(self.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()
