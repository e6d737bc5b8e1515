"""Domain adaptation: what is read and hidden, and what is left for fine-tuning."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModel, AutoModelForSequenceClassification

from ftcore.errors import BaseModelError, DataRefused
from ftcore.models.base import BaseModel
from ftcore.models.devices import Device
from ftcore.spec import AdaptSpec, MethodSpec, TrainingSpec
from ftcore.training.adapting import Adaptation, make_adaptation
from ftcore.training.conversations import IGNORED
from ftcore.training.finetune import run_job
from tests.tiny_bert import build_tiny_bert, make_rows, with_mask_token
from tests.tiny_families import build_tiny

SETTINGS = TrainingSpec(batch_size=8, max_length=16)
TEXTS = [row["text"] for row in make_rows(80, seed=3)]
CPU = Device("cpu", "fp32", 1)


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> BaseModel:
    return with_mask_token(build_tiny_bert(tmp_path_factory.mktemp("bert")))


def test_hidden_tokens_depend_on_seed_row_and_step_alone(bert: BaseModel) -> None:
    job = Adaptation(TEXTS, bert, SETTINGS, AdaptSpec(mask_fraction=0.4))
    pieces = [job.train[at] for at in range(12)]

    def hidden(chosen: list[tuple[list[int], int]], salt: int = 1) -> dict[int, list[int]]:
        batch = job.hide(job.collate(chosen), salt)
        return {
            row: [token for token in batch["labels"][at].tolist() if token != IGNORED]
            for at, row in enumerate(batch["rows"].tolist())
        }

    together = hidden(pieces)
    assert together == {row: tokens for piece in pieces for row, tokens in hidden([piece]).items()}
    assert together == hidden(pieces[::-1])
    assert together != hidden(pieces, salt=2), "another step hides other tokens"
    special = set(job.tokenizer.all_special_ids)
    for tokens, row in pieces:
        content = [token for token in tokens if token not in special]
        assert len(together[row]) == max(1, round(0.4 * len(content)))


def test_what_is_shown_is_mostly_the_mask(bert: BaseModel) -> None:
    job = Adaptation(TEXTS, bert, SETTINGS, AdaptSpec(mask_fraction=0.5))
    batch = job.collate([job.train[at] for at in range(len(job.train))])
    shown = job.hide(batch, 1)
    learnt = shown["labels"] != IGNORED
    assert torch.equal(shown["labels"][learnt], batch["input_ids"][learnt])
    assert torch.equal(shown["input_ids"][~learnt], batch["input_ids"][~learnt])
    masked = (shown["input_ids"][learnt] == job.tokenizer.mask_token_id).float().mean()
    assert 0.7 < float(masked) < 0.9


def test_long_texts_become_several_pieces(bert: BaseModel, tmp_path: Path) -> None:
    texts = [*TEXTS, " ".join(["card"] * 40)]
    job = Adaptation(texts, bert, SETTINGS, AdaptSpec(max_length=10))
    pieces = [*job.train.tokens, *job.validation.tokens]
    assert max(map(len, pieces)) == 10
    assert sum(piece.count(job.tokenizer.convert_tokens_to_ids("card")) == 8 for piece in pieces) == 5
    assert all(piece[0] == job.tokenizer.cls_token_id and piece[-1] == job.tokenizer.sep_token_id for piece in pieces)
    decoder = Adaptation(texts, build_tiny("llama", tmp_path), SETTINGS, AdaptSpec())
    ends = [
        piece[-1] == decoder.tokenizer.eos_token_id for piece in (*decoder.train.tokens, *decoder.validation.tokens)
    ]
    assert sum(ends) == len(set(texts)), "every text ends once"


def test_an_adapted_encoder_is_a_base_model_again(
    bert: BaseModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = Adaptation(TEXTS, bert, SETTINGS, AdaptSpec(epochs=4, learning_rate=2e-3))
    tuned = run_job(job, MethodSpec(freeze_embeddings=False), CPU, tmp_path / "checkpoints", tmp_path / "output")
    losses = [seen.loss for seen in tuned.history.validations]
    assert losses[-1] < losses[0]
    assert "has no trained head for masked tokens" in capsys.readouterr().err
    before = load_file(bert.path / "model.safetensors")
    after = load_file(tmp_path / "output" / "model" / "model.safetensors")
    assert before.keys() == after.keys(), "the pooler is there, the head for masked tokens is not"
    assert torch.equal(before["pooler.dense.weight"], after["pooler.dense.weight"])
    assert not torch.equal(before["embeddings.word_embeddings.weight"], after["embeddings.word_embeddings.weight"])
    for kind in (AutoModel, AutoModelForSequenceClassification):
        kind.from_pretrained(tmp_path / "output" / "model")


def test_texts_in_another_script_are_a_doubt(bert: BaseModel) -> None:
    known = ["card lost " * number for number in range(1, 30)]
    assert Adaptation(known, bert, SETTINGS, AdaptSpec()).lint(torch.nn.Module())[0].verdict == "ok"
    other = [f"карта {number} потеряна" for number in range(80)]
    (found,) = Adaptation([*known, *other], bert, SETTINGS, AdaptSpec()).lint(torch.nn.Module())
    assert found.verdict == "doubt"
    (found,) = Adaptation(["карта " * number for number in range(1, 60)], bert, SETTINGS, AdaptSpec()).lint(
        torch.nn.Module()
    )
    assert found.verdict == "fault"


def test_what_cannot_be_adapted_is_refused(bert: BaseModel, tiny_base: BaseModel, tmp_path: Path) -> None:
    adapt = AdaptSpec()
    with pytest.raises(DataRefused, match="2 different texts to adapt to; wanted at least 20"):
        make_adaptation("classification", ["a", "b", "a "], bert, SETTINGS, adapt)
    with pytest.raises(BaseModelError, match="no mask token"):
        make_adaptation("classification", TEXTS, tiny_base, SETTINGS, adapt)
    with pytest.raises(BaseModelError, match="encoder-decoder model"):
        make_adaptation("classification", TEXTS, build_tiny("t5", tmp_path), SETTINGS, adapt)
    with pytest.raises(BaseModelError, match="task instruction wants a decoder"):
        make_adaptation("instruction", TEXTS, bert, SETTINGS, adapt)
