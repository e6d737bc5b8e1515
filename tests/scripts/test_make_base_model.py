"""The base model for offline use: its text, its tokenizer and template, its training, and the model that is shipped."""

from __future__ import annotations

import unicodedata
from itertools import islice
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import TemplateError

from ftcore.models.base import BaseModel, resolve_base
from ftcore.spec import BaseModelSpec
from scripts.make_base_model.__main__ import SEED, _render
from scripts.make_base_model.corpus import conversations, project_texts, stories
from scripts.make_base_model.pretrain import BLOCK, build, evaluate, pack, train
from scripts.make_base_model.tokenizer import BOS, EOS, train_tokenizer

TURNS = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "  Where is order 48213?\n "},
    {"role": "assistant", "content": "On its way: 48213."},
    {"role": "user", "content": "Thanks"},
    {"role": "assistant", "content": "You are welcome."},
]


@pytest.fixture(scope="module")
def generated() -> list[str]:
    return [_render(turns) for turns in conversations(SEED, 300)] + list(stories(SEED, 50))


@pytest.fixture(scope="module")
def tokenizer(generated: list[str]) -> Any:
    return train_tokenizer(generated, 600)


def test_the_text_is_the_same_again_and_follows_the_seed() -> None:
    assert list(conversations(1, 50)) == list(conversations(1, 50)) != list(conversations(2, 50))
    assert list(islice(conversations(1, 90), 50)) == list(conversations(1, 50))
    assert list(stories(1, 20)) == list(stories(1, 20)) != list(stories(2, 20))


def test_the_shop_of_the_example_data_is_not_in_it() -> None:
    texts = [turn["content"] for turns in conversations(SEED, 2000) for turn in turns] + list(stories(SEED, 200))
    assert not [text for text in texts if "brightwell" in text.casefold()]
    assert not [text for text in texts if "<" in text]  # a slot that nobody filled


def test_the_docs_are_those_of_one_commit() -> None:
    texts = list(project_texts())
    assert len(texts) > 100 and any("Apache License" in text for text in texts)


@settings(max_examples=60)
@given(st.text(max_size=60))
def test_nothing_is_unknown(tokenizer: Any, text: str) -> None:
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(ids) == unicodedata.normalize("NFC", text)


def test_digits_stay_single_and_special_tokens_are_told_apart(tokenizer: Any) -> None:
    assert len(tokenizer(" 48213", add_special_tokens=False)["input_ids"]) == 6
    special = [tokenizer.pad_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id]
    assert len(set(special)) == 3 and None not in special
    assert tokenizer("x")["input_ids"][0] == tokenizer.bos_token_id


def test_the_template_marks_answers_and_their_end(tokenizer: Any) -> None:
    whole = tokenizer.apply_chat_template(TURNS, return_dict=True, return_assistant_tokens_mask=True)
    ids, mask = whole["input_ids"], whole["assistant_masks"]
    learned = tokenizer.decode([token for token, own in zip(ids, mask, strict=True) if own])
    assert learned == f"On its way: 48213.{EOS}You are welcome.{EOS}"
    text = tokenizer.apply_chat_template(TURNS, tokenize=False)
    assert text == _render(TURNS) and text.startswith(BOS)
    asked = tokenizer.apply_chat_template(TURNS[:-1], tokenize=False, add_generation_prompt=True)
    assert text.startswith(asked) and asked.endswith("<|assistant|>")
    with pytest.raises(TemplateError, match="roles are"):
        tokenizer.apply_chat_template([{"role": "tool", "content": "x"}], tokenize=False)


def test_the_same_seed_gives_the_same_weights(generated: list[str], tokenizer: Any) -> None:
    blocks = pack(generated, tokenizer)[:12]
    assert blocks.shape == (12, BLOCK)
    weights = []
    for _ in range(2):
        model = build(tokenizer, 3)
        before = evaluate(model, blocks[:1])
        outcome = train(model, blocks, blocks[:1], 2, 3)
        assert outcome.validation_loss < before
        weights.append(model.state_dict())
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> BaseModel:
    """The model as a fresh clone gets it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FTCORE_HOME", str(tmp_path_factory.mktemp("home")))
        return resolve_base(BaseModelSpec(name="dvc:models/tiny-chat"), request.config.rootpath)


def test_the_shipped_model_is_small_and_whole(shipped: BaseModel) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    files = {path.name: path.stat().st_size for path in shipped.path.iterdir()}
    assert sum(files.values()) <= 12_000_000 and "README.md" in files
    model, info = AutoModelForCausalLM.from_pretrained(shipped.path, output_loading_info=True)
    assert not any(info.values())
    assert 2e6 <= sum(parameter.numel() for parameter in model.parameters()) <= 6e6
    assert model.dtype == torch.bfloat16 and model.config.tie_word_embeddings
    tokenizer = AutoTokenizer.from_pretrained(shipped.path)
    assert len(tokenizer) == model.config.vocab_size
    card = (shipped.path / "README.md").read_text(encoding="utf-8")
    assert all(word in card for word in ("## Data", "Perplexity", "## Limits", "## Licence", "ftcore.data.leakage"))


def test_the_shipped_model_answers_and_stops(shipped: BaseModel) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(shipped.path)
    model = AutoModelForCausalLM.from_pretrained(shipped.path, dtype=torch.float32)
    asked = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Thank you, Anna!"}],
        add_generation_prompt=True,
        return_tensors="pt",
        return_dict=True,
    )
    ids = model.generate(**asked, max_new_tokens=40, do_sample=False)[0, asked["input_ids"].shape[1] :]
    assert ids[-1] == tokenizer.eos_token_id
    assert "welcome" in tokenizer.decode(ids)
