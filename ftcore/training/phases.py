"""A fine-tuning run with its optional phases: adapt, teacher, the method itself, prefer. Each is done once, however often a crash
makes the run begin again: its result is published whole in a sub-folder of the checkpoints and found there."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transformers import AutoModelForCausalLM

from ftcore.errors import BaseModelError, IntegrityError, UsageError
from ftcore.models import adapters
from ftcore.models.base import BaseModel, saved_model
from ftcore.models.devices import Device
from ftcore.records import PhaseRun, canonical_json
from ftcore.spec import DistillSpec, MethodSpec, Task, TrainingSpec
from ftcore.store import write_durable
from ftcore.training.finetune import FineTuned, run_job
from ftcore.training.history import History
from ftcore.training.preflight import PREFLIGHT
from ftcore.training.probe import Probe
from ftcore.training.tasks import Rows, TrainingTask, load_weights, make_task
from ftcore.training.trainer import HISTORY, RowOrder, say

_DONE = "done.json"
_NO_PHASES: Mapping[str, None] = {"adapt": None, "distill": None, "curriculum": None, "prefer": None}


@dataclass(frozen=True)
class Extra:
    """What phases read besides the prepared rows."""

    texts: Sequence[str] = ()
    """Plain texts for `adapt`."""
    preferences: Rows = ()
    """Ratings for `prefer`, as `ftcore.data.preferences` reads them; none: the phase is left out."""
    teacher: BaseModel | None = None
    """Checked teacher, unless the run makes its own."""


@dataclass(frozen=True)
class Tuned:
    """A run with all its phases."""

    tuned: FineTuned
    """The last phase that moved the weights."""
    phases: tuple[PhaseRun, ...] = ()
    taught_by: str | None = None
    """Digest of the teacher."""
    device: Device | None = None
    """With what the probe has chosen for the phase of the method itself."""


@dataclass
class Run:
    """Everything that the phases of one run share; see `fine_tune` for the fields."""

    train_rows: Rows
    validation_rows: Rows
    labels: tuple[str, ...]
    task: Task
    base: BaseModel
    method: MethodSpec
    training: TrainingSpec
    device: Device
    checkpoint_dir: Path
    output_dir: Path | None
    champion: BaseModel | None = None
    on_validation: Callable[[History], None] | None = None
    """Called in the last phase."""
    probe: Probe | None = None
    """Chooses the fastest way for the phase of the method itself; None: `device` as it is."""
    extra: Extra = field(default_factory=Extra)
    done: list[PhaseRun] = field(default_factory=list)

    @property
    def plain(self) -> MethodSpec:
        """The method without phases."""
        return self.method.model_copy(update=dict(_NO_PHASES))

    def go(self) -> Tuned:
        """All phases.

        Raises:
            FtcoreError: As `fine_tune`; also if teacher, texts or ratings do not do.
        """
        self.device.prepare()
        if self.method.adapt:
            self._adapt()
        taught_by, job, champion = None, None, self.champion
        if self.method.distill:
            teacher = self.extra.teacher or self._train_teacher()
            taught_by = teacher.digest
            job, champion = self._student(teacher, self.method.distill)
        job = job or make_task(self.task, self.train_rows, self.validation_rows, self.labels, self.base, self.training)
        if self.probe is not None:
            self.device = self.probe.fastest(job, self.plain, self.device, champion, self.checkpoint_dir)
        order = None
        if self.method.curriculum:
            from ftcore.training.curriculum import row_order

            order = row_order(job, self.train_rows, self.method.curriculum, self.device, self.checkpoint_dir)
        if self.method.prefer and not self.extra.preferences:
            say("there are no ratings yet: method.prefer is left out")
        if not self.method.prefer or not self.extra.preferences:
            tuned = run_job(
                job, self.plain, self.device, self.checkpoint_dir, self.output_dir, champion, order, self.on_validation
            )
            if self.method.adapt or (self.method.distill and self.method.distill.student_layers):
                self._drop_adapter()
            return Tuned(tuned, tuple(self.done), taught_by, self.device)
        before = self._once("tune", job, self.plain, champion, order)
        return Tuned(self._prefer(before), tuple(self.done), taught_by, self.device)

    def _adapt(self) -> None:
        from ftcore.training.adapting import make_adaptation

        assert self.method.adapt is not None
        job = make_adaptation(self.task, self.extra.texts, self.base, self.training, self.method.adapt)
        self.base = self._once("adapt", job, MethodSpec(freeze_embeddings=False), model_name=self.base.name)

    def _train_teacher(self) -> BaseModel:
        say("first the teacher is fine-tuned")
        job = make_task(self.task, self.train_rows, self.validation_rows, self.labels, self.base, self.training)
        return self._once("teacher", job, self.plain, model_name=f"teacher of {self.base.name}")

    def _student(self, teacher: BaseModel, distill: DistillSpec) -> tuple[TrainingTask, BaseModel | None]:
        """The task with the teacher in its loss, and the folder that the student's weights start from (None: as without one)."""
        training = self.training
        if distill.epochs:
            training = training.model_copy(update={"epochs": distill.epochs, "max_steps": None})
        require_no_adapter(teacher)
        start, student = self.champion, self.checkpoint_dir / "student"
        job: TrainingTask
        if self.task == "classification":
            from ftcore.training.distilled_classification import DistilledClassification
            from ftcore.training.teachers import load_teacher, make_student, teacher_outputs

            if distill.student_layers:
                loaded = load_teacher(teacher, self.labels)
                start = make_student(teacher, loaded.model, loaded.labels, distill.student_layers, student)
            texts = [str(row["text"]) for row in self.train_rows]
            outputs = teacher_outputs(
                teacher, texts, self.labels, training.max_length, self.device, self.checkpoint_dir
            )
            base = start if distill.student_layers and start else self.base
            job = DistilledClassification(
                self.train_rows, self.validation_rows, self.labels, base, training, outputs, distill
            )
            return job, start
        from ftcore.training.distilled_instruction import DistilledInstruction
        from ftcore.training.teachers import make_student

        what = "a causal language model"
        model = load_weights(AutoModelForCausalLM, teacher, what)
        if distill.student_layers:
            start = make_student(
                teacher, load_weights(AutoModelForCausalLM, teacher, what), None, distill.student_layers, student
            )
        base = start if distill.student_layers and start else self.base
        job = DistilledInstruction(self.train_rows, self.validation_rows, base, training, teacher, model, distill)
        return job, start

    def _prefer(self, before: BaseModel) -> FineTuned:
        from ftcore.training.preferring import make_preference

        assert self.method.prefer is not None
        job = make_preference(self.extra.preferences, self.validation_rows, before, self.training, self.method.prefer)
        tuned = run_job(
            job, self.plain, self.device, self.checkpoint_dir / "prefer", self.output_dir,
            on_validation=self.on_validation,
        )  # fmt: skip
        self._drop_adapter()
        return tuned

    def _drop_adapter(self) -> None:
        """It belongs on weights that are not kept, and would be another model on the untouched base."""
        if self.output_dir is not None:
            shutil.rmtree(self.output_dir / "adapter", ignore_errors=True)

    def _once(
        self, name: str, job: TrainingTask, method: MethodSpec, champion: BaseModel | None = None,
        order: RowOrder | None = None, *, model_name: str | None = None,
    ) -> BaseModel:  # fmt: skip
        """The model that a phase made, now or in an earlier attempt.

        Raises:
            FtcoreError: As `run_job`; also if what it made is an adapter that cannot be merged.
        """
        folder = self.checkpoint_dir / name
        found = _finished(folder)
        if found is None:
            shutil.rmtree(folder / "output", ignore_errors=True)
            tuned = run_job(
                job, method, self.device, folder / "checkpoints", folder / "output", champion, order,
                quiet=self.output_dir is None,
            )  # fmt: skip
            found = _summary(name, tuned)
            write_durable(folder / _DONE, canonical_json({**dataclasses.asdict(found[0]), "model_digest": found[1]}))
            shutil.rmtree(folder / "checkpoints", ignore_errors=True)
        else:
            say(f"phase {name} was finished before; its model is used")
        self.done.append(found[0])
        if self.output_dir is not None:
            self.output_dir.mkdir(parents=True, exist_ok=True)
            for file in (HISTORY, PREFLIGHT):
                told = (folder / "output" / file).read_text(encoding="utf-8")
                write_durable(self.output_dir / f"{Path(file).stem}-{name}.json", told)
        model = saved_model(folder / "output" / "model", found[1], model_name or f"the model of phase {name}")
        require_no_adapter(model)
        return model


def require_no_adapter(model: BaseModel) -> None:
    """Refuse a model that is more than its weights.

    Raises:
        BaseModelError: It has an adapter beside them.
    """
    if (model.path / adapters.FOLDER).is_dir():
        raise BaseModelError(
            f"{model.name} has an adapter beside its weights (virtual tokens), which phases after it would not see.",
            hint="--set method.name=lora",
        )


def _summary(name: str, tuned: FineTuned) -> tuple[PhaseRun, str]:
    first = tuned.history.validations[0].loss
    phase = PhaseRun(
        name=name,
        num_steps=tuned.num_steps,
        best_step=tuned.best_step,
        first_validation_loss=first,
        best_validation_loss=tuned.best_validation_loss,
        train_s=round(tuned.train_s, 2),
    )
    return phase, tuned.model_digest


def _finished(folder: Path) -> tuple[PhaseRun, str] | None:
    """What a finished phase left, if its model is whole."""
    try:
        done: dict[str, Any] = json.loads((folder / _DONE).read_text(encoding="utf-8"))
        digest = str(done.pop("model_digest"))
        saved_model(folder / "output" / "model", digest, "")
        History.load(folder / "output" / HISTORY)
        (folder / "output" / PREFLIGHT).read_text(encoding="utf-8")
    except (OSError, ValueError, KeyError, IntegrityError):
        shutil.rmtree(folder / _DONE, ignore_errors=True)
        return None
    return PhaseRun(**{**done, "train_s": 0.0}), digest


def require_teacher(teacher: str, digest: str | None) -> None:
    """Refuse `teacher: champion` where there is none.

    Raises:
        UsageError: With what to do.
    """
    if teacher == "champion" and digest is None:
        message = (
            "method.distill.teacher is champion, but no model has been promoted yet; wanted a model to learn from."
        )
        raise UsageError(message, hint="--set method.distill.teacher=new")
