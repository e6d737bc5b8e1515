"""Checks of the optional phases before anything is trained: a phase that cannot work would else be found out only after those
before it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from transformers import AutoConfig, AutoModelForCausalLM

from ftcore.errors import BaseModelError, FtcoreError, first_line
from ftcore.models.base import BaseModel
from ftcore.spec import DistillSpec
from ftcore.training.findings import Finding
from ftcore.training.phases import Run, require_no_adapter
from ftcore.training.tasks import load_tokenizer, load_weights


def check_phases(run: Run) -> list[Finding]:
    """What stands in the way of `adapt`, `distill` and `prefer`; nothing for phases that the method does not have.

    Memory is not looked at, and of a teacher that the run makes itself only what the base model tells.

    Args:
        run: Not started; nothing of it changes.
    """
    checks: dict[str, Callable[[Run], list[Finding]]] = {}
    if run.method.adapt:
        checks["texts"] = _texts
    if run.method.distill:
        checks["teacher"] = _teacher
    if run.method.prefer:
        checks["ratings"] = _ratings
    return [finding for name, check in checks.items() for finding in _asked(name, check, run)]


def _asked(name: str, check: Callable[[Run], list[Finding]], run: Run) -> Iterator[Finding]:
    """What a check found; what it raised, as the phase would, is a fault."""
    try:
        yield from check(run)
    except FtcoreError as error:
        yield Finding(name, "fault", error.message, error.hint or "")


def _texts(run: Run) -> list[Finding]:
    from ftcore.training.adapting import make_adaptation

    assert run.method.adapt is not None
    job = make_adaptation(run.task, run.extra.texts, run.base, run.training, run.method.adapt)
    message = f"{job.num_train:,} pieces of text to adapt to, {len(job.validation):,} more to choose the checkpoint"
    return [Finding("texts", "ok", message)]


def _teacher(run: Run) -> list[Finding]:
    distill, teacher = run.method.distill, run.extra.teacher
    assert distill is not None
    depth, width = _shape(teacher or run.base)
    if distill.student_layers and distill.student_layers >= depth:
        message = f"the teacher has {depth} layers; a student cannot have {distill.student_layers} of them"
        return [Finding("teacher", "fault", message, f"--set method.distill.student_layers={max(1, depth // 2)}")]
    what = (
        f"{distill.student_layers} of {depth} layers for the student" if distill.student_layers else f"{depth} layers"
    )
    if teacher is None:
        return [Finding("teacher", "ok", f"made by the run itself; {what}")]
    require_no_adapter(teacher)
    known = _load(run, teacher, distill)
    seen = width if distill.student_layers else _shape(run.base)[1]
    if distill.embedding_weight and run.task == "classification" and seen != width:
        message = f"embeddings of the student have {seen} numbers, those of the teacher {width}: they cannot be matched"
        return [Finding("teacher", "fault", message, "--set method.distill.embedding_weight=0")]
    return [Finding("teacher", "ok", f"it loads, {known}; {what}")]


def _load(run: Run, teacher: BaseModel, distill: DistillSpec) -> str:
    """What fits of a teacher that is there.

    Raises:
        FtcoreError: It does not load, or has other classes or another tokenizer than the student.
    """
    if run.task == "classification":
        from ftcore.training.teachers import load_teacher

        load_teacher(teacher, run.labels)
        return f"knows all {len(run.labels)} classes"
    load_weights(AutoModelForCausalLM, teacher, "a causal language model")
    if not distill.student_layers:
        from ftcore.training.distilled_instruction import require_same_tokenizer

        require_same_tokenizer(teacher, load_tokenizer(run.base), run.base.name)
    return "has the student's tokenizer"


def _shape(model: BaseModel) -> tuple[int, int]:
    """Layers and width.

    Raises:
        BaseModelError: transformers cannot read its configuration.
    """
    try:
        config = AutoConfig.from_pretrained(model.path, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise BaseModelError(f"The configuration of {model.name} cannot be read: {first_line(error)}") from error
    return int(config.num_hidden_layers), int(config.hidden_size)


def _ratings(run: Run) -> list[Finding]:
    if not run.extra.preferences:
        message = "method.prefer.data has none yet: models are trained without this phase"
        return [Finding("ratings", "doubt", message)]
    from ftcore.training.preferring import make_preference

    assert run.method.prefer is not None
    # of the tuned model, which is not there yet, only the tokenizer is looked at: the base model's
    job = make_preference(run.extra.preferences, run.validation_rows, run.base, run.training, run.method.prefer)
    return job.lint_ratings()
