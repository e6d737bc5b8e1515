"""What sections ask of each other: every check that needs more than one of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, get_args

from ftcore.spec.base import Task
from ftcore.spec.evaluation import (
    LABEL_COLUMNS,
    OWN_METRIC,
    PREVIOUS_CHAMPION,
    TEXT_COLUMNS,
    CalibrationMetric,
    EvaluationSpec,
    GateSpec,
    GenerationMetric,
    LabelMetric,
)
from ftcore.spec.method import PHASES, VIRTUAL
from ftcore.spec.probes import ProbesSpec

if TYPE_CHECKING:
    from ftcore.spec.whole import FineTuneSpec

GENERATION_DEFAULTS: dict[str, dict[str, Any]] = {
    "evaluation": {"baselines": ["base", "few_shot", "similar_reply"]},
    "gate": {"metric": "chrf", "floors": {"chrf": 0.2}},
}
_LABEL_BASELINES = ["majority", "nearest_centroid", "few_shot"]


def measure_faults(task: Task, evaluation: EvaluationSpec, gate: GateSpec) -> list[str]:
    """Metrics and baselines that the task does not have, one line each."""
    generates = task != "classification"
    own = [OWN_METRIC + name for name in evaluation.metrics or ()]
    metrics = [*get_args(GenerationMetric if generates else LabelMetric), *own]
    wanted_format = evaluation.generation.format
    if generates and wanted_format is not None:
        metrics.append("format_valid")
    of_task = GENERATION_DEFAULTS["evaluation"]["baselines"] if generates else _LABEL_BASELINES
    baselines = [*of_task, PREVIOUS_CHAMPION]
    guards = metrics if generates else [*metrics, *get_args(CalibrationMetric)]
    named = [
        ("gate.metric", gate.metric, metrics),
        *(("gate.floors", name, metrics) for name in gate.floors),
        *(("gate.guards", name, guards) for name in gate.guards),
    ]
    faults = [
        f"{path}: {name!r} is no metric of task {task}; wanted {' or '.join(wanted)}"
        for path, name, wanted in named
        if name not in wanted
    ]
    if len(set(own)) < len(own):
        faults.append("evaluation.metrics: a name stands there twice")
    if not generates and wanted_format is not None:
        faults.append(f"evaluation.generation.format is for generated text; task {task} has none")
    if not generates and evaluation.probes is not None:
        faults.append(
            f"evaluation.probes ask for generated text, which task {task} has none of; wanted no such section"
        )
    if not generates and evaluation.llm_judge is not None:
        faults.append(f"evaluation.llm_judge compares generated text; task {task} has none")
    faults += _probe_guard_faults(evaluation.probes, gate)
    faults += [
        f"evaluation.baselines: {name!r} is no baseline of task {task}; wanted {' or '.join(baselines)}"
        for name in evaluation.baselines
        if name not in baselines
    ]
    if evaluation.few_shot is not None and generates:
        faults.append("evaluation.few_shot is for task classification; wanted evaluation.generation.num_examples")
    elif evaluation.few_shot is not None and "few_shot" not in evaluation.baselines:
        faults.append("evaluation.few_shot has no effect: evaluation.baselines does not name few_shot")
    taken = TEXT_COLUMNS if generates else LABEL_COLUMNS
    faults += [
        f"evaluation.slices: {name!r} is a column of the predictions; wanted another column of the data, under another name"
        for name in evaluation.slices
        if name in taken
    ]
    known = (*evaluation.slices, *(() if generates else ("label",)))
    faults += [
        f"gate.slices: {name!r} is no slice column; wanted {' or '.join(known) or 'evaluation.slices first'}"
        for name in gate.slices
        if name not in known
    ]
    if gate.metric == "inverse_perplexity" and "similar_reply" in evaluation.baselines:
        wanted = "leave it out, or choose another gate.metric"
        faults.append(f"evaluation.baselines: similar_reply copies answers and so has no perplexity; {wanted}")
    return faults


def _probe_guard_faults(probes: ProbesSpec | None, gate: GateSpec) -> list[str]:
    """Guards on probes that nobody asks."""
    measured = {} if probes is None else {
        "groundedness": probes.groundedness, "self_consistency": probes.samples > 0, "safety": probes.safety is not None,
        "canaries": probes.canaries is not None, "forgetting": probes.general_text is not None,
    }  # fmt: skip
    on = [name for name, is_on in measured.items() if is_on]
    return [
        f"gate.probe_guards: {name!r} is not measured; wanted a probe that evaluation.probes turns on"
        + (f" ({', '.join(on)})" if on else ": there is no such section")
        for name in gate.probe_guards or {}
        if name.partition(".")[0] not in on
    ]


# Settings of `training` that only some tasks heed: the value that means nothing, and those tasks.
_ONLY_FOR: dict[str, tuple[Any, tuple[Task, ...]]] = {
    "head_rate_factor": (1.0, ("classification",)),
    "class_weights": ("none", ("classification",)),
    "label_smoothing": (0.0, ("classification", "seq2seq")),
    "loss_on": ("answer", ("instruction",)),
    "packing": (False, ("instruction",)),
    "neftune_alpha": (None, ("instruction",)),
}
# Settings that change what the validation loss is taken over: trials with other values cannot be compared by it.
_CHANGES_LOSS: dict[str, tuple[Task, ...]] = {
    "training.max_length": ("instruction", "seq2seq"),
    "training.class_weights": ("classification",),
}

_PREFER_SEARCHED = ("method.prefer.epochs", "method.prefer.learning_rate")
"""What leaves the model that ratings are compared with, and their loss, as they are."""


def training_faults(spec: FineTuneSpec) -> list[str]:
    """Settings that the task would ignore: nobody should believe that they did something."""
    faults = [
        f"training.{name} {getattr(spec.training, name)!r} has no effect for {spec.task}, only for {' and '.join(tasks)}"
        for name, (unset, tasks) in _ONLY_FOR.items()
        if spec.task not in tasks and getattr(spec.training, name) != unset
    ]
    if spec.method.shots is not None and spec.task != "classification":
        faults.append(f"method.shots counts rows of a class; task {spec.task!r} has none")
    return faults


def device_faults(spec: FineTuneSpec) -> list[str]:
    """What several processes cannot do together."""
    compute, training, method = spec.compute, spec.training, spec.method
    together = compute.processes * compute.nodes
    if together == 1:
        unused = "compute.sharding full needs several processes; wanted compute.processes 2 or more, or sharding none"
        return [unused] if compute.sharding == "full" else []
    faults, named = [], f"compute.processes {compute.processes} times nodes {compute.nodes}"
    if training.batch_size % together:
        near = max(1, round(training.batch_size / together)) * together
        faults.append(
            f"training.batch_size {training.batch_size} is not a multiple of {named}; wanted for example {near}"
        )
    elif training.micro_batch_size and training.batch_size % (training.micro_batch_size * together):
        share = training.batch_size // together
        divisors = ", ".join(str(size) for size in range(1, share + 1) if share % size == 0)
        faults.append(
            f"training.micro_batch_size {training.micro_batch_size} does not divide the {share} rows that each process has of a "
            f"step ({named}); wanted one of {divisors}"
        )
    faults += [
        f"method.{phase} is for one process; wanted compute.processes 1 and nodes 1"
        for phase in ("distill", "prefer")
        if getattr(method, phase)
    ]
    if compute.sharding == "full":
        if method.name == "qlora":
            faults.append("compute.sharding full cannot cut up weights in 4 bits; wanted none, or method.name lora")
        if spec.tuning.space:
            faults.append("compute.sharding full is not for tuning.space: each trial is trained by one process")
    return faults


def search_faults(spec: FineTuneSpec) -> Iterable[tuple[tuple[str, ...], str]]:
    """Where trials could not be compared with each other: (path below `tuning`, fault)."""
    if spec.tuning.space and spec.task == "seq2seq" and spec.tuning.metric == "accuracy":
        yield ("metric",), "saw 'accuracy'; task seq2seq measures none, wanted loss"
    if spec.tuning.metric == "accuracy" and "training.average_checkpoints" in spec.tuning.space:
        yield (
            ("space", "training.average_checkpoints"),
            "cannot be searched by accuracy: of the mean of checkpoints the loss is measured; wanted tuning.metric loss",
        )
    for path, tasks in _CHANGES_LOSS.items():
        if path in spec.tuning.space and spec.task in tasks:
            yield (
                ("space", path),
                f"cannot be searched for task {spec.task}: it changes what the validation loss is taken over",
            )
    yield from _phase_search_faults(spec)


def phase_faults(spec: FineTuneSpec) -> list[str]:
    """What the optional parts of `method` ask for that cannot be."""
    method, faults = spec.method, []
    if method.prefer and spec.task != "instruction":
        faults.append(f"method.prefer needs answers to rate: wanted task instruction, saw {spec.task}")
    if method.adapt and spec.task == "seq2seq":
        faults.append("method.adapt is for encoders and decoders, which read one text; not for task seq2seq")
    if method.adapt and spec.task == "classification" and "completion" in method.adapt.columns:
        faults.append("method.adapt.columns holds completion, which rows of task classification lack")
    if method.adapt and method.start_from == "champion":
        faults.append(
            "method.adapt changes the base model, method.start_from champion leaves it out; wanted one of them"
        )
    if method.adapt and method.name == "qlora":
        faults.append("method.adapt trains all weights in float32, which qlora is there to avoid; wanted one of them")
    if method.curriculum and method.curriculum.difficulty == "base_loss" and method.name == "qlora":
        faults.append(
            "method.curriculum.difficulty base_loss reads the base model in float32, which qlora is there to avoid"
        )
    if method.distill and spec.task == "seq2seq":
        faults.append("method.distill is for task classification or instruction, saw seq2seq")
    if method.distill and method.distill.embedding_weight and spec.task != "classification":
        faults.append("method.distill.embedding_weight is for task classification")
    if method.distill and method.distill.student_layers and method.start_from == "champion":
        faults.append(
            "method.distill.student_layers starts from the teacher, method.start_from from the champion; wanted one"
        )
    if method.name in VIRTUAL and (method.distill or method.prefer):
        phase = "distill" if method.distill else "prefer"
        faults.append(
            f"method.{phase} and {method.name} exclude each other: virtual tokens stay outside of the weights"
        )
    if method.distill and spec.training.packing:
        faults.append("training.packing is not for method.distill: student and teacher read row by row")
    if method.prefer and method.prefer.algorithm == "kto" and 1 in (
        spec.training.batch_size, spec.training.micro_batch_size,
    ):  # fmt: skip
        faults.append(
            "method.prefer.algorithm kto compares the rows of a forward pass; saw one row, wanted two or more"
        )
    if method.curriculum and method.curriculum.difficulty == "column" and not spec.data.columns.difficulty:
        faults.append("method.curriculum.difficulty column needs data.columns.difficulty, the column's name")
    return faults


def _phase_search_faults(spec: FineTuneSpec) -> Iterable[tuple[tuple[str, ...], str]]:
    """Where a search would vary phases in ways that cannot be compared."""
    for path in spec.tuning.space:
        section, _, rest = path.removeprefix("method.").partition(".")
        if path.startswith("method.") and section in PHASES and getattr(spec.method, section) is None:
            yield ("space", path), f"method.{section} is not set; wanted the section, in which to vary {rest}"
        if spec.method.prefer and path not in _PREFER_SEARCHED:
            fault = "with method.prefer, scores are taken against the model before; wanted only "
            yield ("space", path), fault + " or ".join(_PREFER_SEARCHED)
    rated = spec.method.prefer and spec.method.prefer.algorithm == "kto"
    if spec.tuning.space and spec.tuning.metric == "accuracy" and rated:
        yield ("metric",), "saw 'accuracy'; method.prefer.algorithm kto measures none, wanted loss"
