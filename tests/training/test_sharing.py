"""A step that several processes share is the step of one."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from accelerate.data_loader import BatchSamplerShard
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import SequentialSampler
from transformers import TrainingArguments

from ftcore.models.base import BaseModel
from ftcore.models.devices import Device
from ftcore.spec import AdaptSpec, CurriculumSpec, MethodSpec, TrainingSpec
from ftcore.training import launch, preflight
from ftcore.training.adapting import make_adaptation
from ftcore.training.attempts import Attempt
from ftcore.training.curriculum import row_order
from ftcore.training.examples import LengthGroupedSampler
from ftcore.training.finetune import FineTuned, check_before_training, run_job
from ftcore.training.sharing import StepBatches, on_one_device, sharding_arguments
from ftcore.training.tasks import TrainingTask, make_task
from tests.tiny_bert import LABELS, WORDS, build_tiny_bert, make_rows, with_mask_token
from tests.tiny_runs import BASICS, Crash, build_bases, crash_after, distance, run

TWO = Device("cpu", "fp32", 2, processes=2)


def test_a_process_that_sees_several_devices_trains_on_one(tmp_path: Path) -> None:
    args = TrainingArguments(output_dir=str(tmp_path), use_cpu=True, per_device_train_batch_size=8)
    assert args.device.type == "cpu"
    args._n_gpu = 2
    assert args.train_batch_size == 16  # transformers' way
    on_one_device(args)
    assert (args.n_gpu, args.train_batch_size) == (1, 8)


@given(
    num_rows=st.integers(1, 90),
    rows=st.integers(1, 5),
    accumulated=st.integers(1, 4),
    processes=st.integers(1, 5),
    epoch=st.integers(0, 2),
)
def test_each_row_is_dealt_out_once_and_in_its_step(
    num_rows: int, rows: int, accumulated: int, processes: int, epoch: int
) -> None:
    per_step = rows * accumulated * processes
    order = LengthGroupedSampler(list(range(num_rows)), per_step, seed=3)
    batches = StepBatches(order, num_rows, rows, per_step, processes)
    batches.set_epoch(epoch)
    dealt = [list(BatchSamplerShard(batches, processes, rank)) for rank in range(processes)]
    assert {len(own) for own in dealt} == {len(batches) // processes}

    expected, step = list(order), 0
    for first in range(0, len(dealt[0]), accumulated):
        passes, seen = batches.passes(step), []
        for at in range(first, min(first + accumulated, len(dealt[0]))):
            for rank in range(processes):
                has_rows = rank + processes * (at - first) < passes
                seen += dealt[rank][at] if has_rows else []
                assert dealt[rank][at]  # a spare pass has a row to go forward with
        assert seen == expected[step * per_step : (step + 1) * per_step]
        assert batches.passes(step + 7 * -(-num_rows // per_step)) == passes  # steps of later epochs
        step += 1
    assert step * per_step >= num_rows


def test_an_order_without_epochs_stays() -> None:
    batches = StepBatches(SequentialSampler(range(5)), 5, 2, 4, 2)
    batches.set_epoch(1)
    assert list(batches) == [[0, 1], [2, 3], [4], [4]]


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, BaseModel]:
    return build_bases(tmp_path_factory.mktemp("bases"))


def same_within_1e5(one: FineTuned, other: FineTuned, folder: Path) -> None:
    assert other.num_steps == one.num_steps
    assert other.history.loss == pytest.approx(one.history.loss, abs=1e-5)
    assert other.history.grad_norm == pytest.approx(one.history.grad_norm, rel=1e-4)
    assert other.history.learning_rate == one.history.learning_rate
    seen, wanted = ([item.loss for item in tuned.history.validations] for tuned in (other, one))
    assert seen == pytest.approx(wanted, abs=1e-5)
    accuracies = [[item.accuracy for item in tuned.history.validations] for tuned in (other, one)]
    assert accuracies[0] == pytest.approx(accuracies[1], abs=1e-6)
    assert distance(folder / "one", folder / "two") < 1e-5


# 53 rows in steps of 32: the second has 21, which are three passes of 8; the 14 validation rows are one: spare passes for both
ODD = {"num_rows": 53, "batch_size": 32, "class_weights": "balanced", "average_checkpoints": 2}


@pytest.mark.functional
def test_two_processes_train_as_one(bases: dict[str, BaseModel], tmp_path: Path) -> None:
    one = run(bases, "classification", tmp_path / "one", **ODD)
    two = run(bases, "classification", tmp_path / "two", device=TWO, micro_batch_size=8, **ODD)
    same_within_1e5(one, two, tmp_path)
    assert two.micro_batch_size == 8
    assert [item.check for item in two.findings] == [item.check for item in one.findings]
    assert not (tmp_path / "two" / "checkpoints" / launch.FOLDER).exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "sharding", "settings"),
    [
        ("instruction", "none", {"packing": True}),
        ("seq2seq", "none", {}),
        ("classification", "full", {}),
        ("instruction", "full", {"method": MethodSpec(name="lora", rank=4)}),
    ],
    ids=["packed", "seq2seq", "sharded", "sharded-lora"],
)
def test_broken_off_alone_and_gone_on_with_two(
    task: str, sharding: str, settings: dict[str, object], bases: dict[str, BaseModel], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """In the middle of the second epoch."""
    if sharding == "full":
        monkeypatch.setattr(launch, "WORKER", "tests.sharded_on_cpu")
    common = {"num_rows": 54, "batch_size": 16, "epochs": 3, "eval_every": 0.5, **settings}
    two = Device("cpu", "fp32", 2, processes=2, sharding=sharding)  # type: ignore[arg-type]
    one = run(bases, task, tmp_path / "one", **common)
    with monkeypatch.context() as broken:
        crash_after(broken, 7)
        with pytest.raises(Crash):
            run(bases, task, tmp_path / "two", **common)
    gone_on = run(bases, task, tmp_path / "two", device=two, micro_batch_size=4, **common)
    assert gone_on.resumed_from == 6
    same_within_1e5(one, gone_on, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("phase", ["adapt", "curriculum"])
def test_phases_are_shared(phase: str, bases: dict[str, BaseModel], tmp_path: Path) -> None:
    """The same run as one process's, uneven last passes included."""
    rows, validation = make_rows(53), make_rows(14, seed=1)
    training = TrainingSpec(**{**BASICS, "batch_size": 32, "micro_batch_size": 8})
    base, order = bases["classification"], None
    job: TrainingTask = make_task("classification", rows, validation, LABELS, base, training)
    if phase == "adapt":
        texts = [f"{row['text']} {WORDS[at % 11]} {WORDS[at % 7]}" for at, row in enumerate(make_rows(90, seed=2))]
        base = with_mask_token(build_tiny_bert(tmp_path / "base"))
        job = make_adaptation("classification", texts, base, training, AdaptSpec(columns=["text"], epochs=2))
    else:
        order = row_order(job, rows, CurriculumSpec(difficulty="base_loss"), TWO, tmp_path)
    method = MethodSpec(freeze_embeddings=False)
    one, two = (
        run_job(job, method, device, tmp_path / name / "checkpoints", tmp_path / name / "output", order=order)
        for name, device in (("one", TWO.alone()), ("two", TWO))
    )
    assert two.num_steps == one.num_steps > 2
    assert two.history.loss == pytest.approx(one.history.loss, abs=1e-5)
    assert two.best_validation_loss == pytest.approx(one.best_validation_loss, abs=1e-5)
    assert distance(tmp_path / "one", tmp_path / "two") < 1e-5


def test_the_checks_count_rows_and_memory_of_one_process(bases: dict[str, BaseModel]) -> None:
    rows, validation = make_rows(40), make_rows(14, seed=1)
    settings = TrainingSpec(**{**BASICS, "batch_size": 32})
    named = {"task": "classification", "base": bases["classification"], "method": MethodSpec(), "training": settings}
    findings = check_before_training(rows, validation, LABELS, device=TWO, **named)  # type: ignore[arg-type]
    assert [item.verdict for item in findings if item.check == "memory"] == ["ok"]
    job = make_task("classification", rows, validation, LABELS, bases["classification"], settings)
    with TemporaryDirectory() as folder:
        attempt = Attempt.begin(job, MethodSpec(), None, TWO, Path(folder), None)
        shared = Device("cpu", "fp32", 1, processes=2, sharding="full")
        whole, cut = (preflight.bytes_needed(job, attempt.trainer, device, 16) for device in (TWO, shared))
    assert attempt.trainer.args.gradient_accumulation_steps == 1
    assert attempt.micro_batch_size == 16
    assert list(whole) == [16, 8, 4, 2, 1]
    assert whole[16] > cut[16]


def test_embeddings_are_no_layer_of_a_model_that_is_cut_up(bases: dict[str, BaseModel]) -> None:
    from transformers import AutoModel

    wanted = sharding_arguments(AutoModel.from_pretrained(bases["classification"].path))["fsdp_config"]
    assert wanted["transformer_layer_cls_to_wrap"] == ["BertLayer"]
