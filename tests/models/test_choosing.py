"""Choosing among options by likelihood: the numbers of whole passes, though most is read once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from ftcore.errors import BaseModelError
from ftcore.models import choosing
from ftcore.models.choosing import Chooser, require_decoder
from ftcore.models.devices import Device
from ftcore.models.loading import LoadedModel, load_generative_base
from tests.tiny_bert import build_tiny_bert
from tests.tiny_families import EOS, PAD, build, build_base, letter_tokenizer

CPU = Device("cpu", "fp32", 1)
PROMPTS = ["text: lost\nlabel:", "text: late card\nlabel:", "text: late\nlabel:", "text: new\nlabel:", "t\nlabel:"]
LABELS = ["a", "card", "late card"]


def loaded(family: str) -> LoadedModel:
    if family != "gpt2":
        return LoadedModel(*build(family, kit="letters"))
    tokenizer = letter_tokenizer(chat=True)
    config = GPT2Config(
        vocab_size=len(tokenizer), n_positions=128, n_embd=32, n_layer=2, n_head=4, initializer_range=0.5,
        pad_token_id=PAD, eos_token_id=EOS, bos_token_id=EOS,
    )  # fmt: skip
    torch.manual_seed(3)
    return LoadedModel(GPT2LMHeadModel(config).eval(), tokenizer)


def by_whole_passes(model: LoadedModel, beginning: str, options: list[list[int]]) -> np.ndarray:
    ids = [
        [model.tokenizer.bos_token_id, *model.tokenizer(beginning + prompt, add_special_tokens=False).input_ids]
        for prompt in PROMPTS
    ]
    wanted = np.zeros((len(PROMPTS), len(options)))
    for row, prompt in enumerate(ids):
        for number, option in enumerate(options):
            with torch.inference_mode():
                logits = model.model(input_ids=torch.tensor([[*prompt, *option]])).logits[0]
            found = logits.log_softmax(dim=-1)
            places = range(len(prompt) - 1, len(prompt) + len(option) - 1)
            wanted[row, number] = np.mean(
                [float(found[place, token]) for place, token in zip(places, option, strict=True)]
            )
    return wanted


@pytest.mark.parametrize("family", ["llama", "qwen3", "gpt2"])
@pytest.mark.parametrize("batch_size", [1, 8])
def test_the_same_numbers_as_whole_passes(family: str, batch_size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model = loaded(family)
    chooser = Chooser(model, CPU, batch_size)
    options = chooser.options("label:", LABELS)
    assert [len(ids) for ids in options] == [2, 5, 10]  # letters, the space before them included
    wanted = by_whole_passes(model, "text: refund\nlabel: card\n\n", options)
    found = chooser.scores("text: refund\nlabel: card\n\n", PROMPTS, options)
    assert np.allclose(found, wanted, atol=1e-5) and np.ptp(wanted, axis=0).min() > 1e-4
    monkeypatch.setattr(choosing, "_MAX_CACHE_BYTES", 1)  # one row at a time
    assert np.allclose(chooser.scores("text: refund\nlabel: card\n\n", PROMPTS, options), wanted, atol=1e-5)


def test_a_space_goes_into_the_word_where_the_tokenizer_writes_it_so() -> None:
    words = {
        token: number for number, token in enumerate(("<pad>", "</s>", "Label", ":", "Ġ", "Ġcard", "card", "late"))
    }
    backend = Tokenizer(models.WordLevel(words, unk_token="<pad>"))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="<pad>", eos_token="</s>")
    chooser = Chooser(LoadedModel(build("llama")[0], tokenizer), CPU, 4)
    assert chooser.options("Label:", ["card"]) == [[words["Ġcard"]]]


def test_texts_are_cut_by_tokens() -> None:
    chooser = Chooser(LoadedModel(*build("llama")), CPU, 4)
    assert chooser.cut("card lost money late", 2) == "card lost" and chooser.cut("card", 2) == "card"
    assert chooser.num_tokens("card lost") == 2 and chooser.num_positions == 96


def test_only_a_decoder_goes_on_from_a_text(tmp_path: Path) -> None:
    build_tiny_bert(tmp_path / "bert")
    for family in ("llama", "t5"):
        build_base(tmp_path / family, family)
    require_decoder(tmp_path / "llama", "llama")
    assert load_generative_base(build_base(tmp_path / "again")).kind == "decoder"
    for name in ("bert", "t5"):
        with pytest.raises(BaseModelError, match=f"few_shot asks a decoder.* {name} is"):
            require_decoder(tmp_path / name, name)
