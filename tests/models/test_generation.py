"""Batch generation: the same answers in any batch, likelihoods of the answer alone, safe under threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from peft import PrefixTuningConfig, PromptTuningConfig, TaskType, get_peft_model

from ftcore.errors import BaseModelError
from ftcore.models.devices import Device
from ftcore.models.generation import Generator
from ftcore.models.loading import LoadedModel
from ftcore.spec import GenerationSpec
from tests.tiny_families import BOS, EOS, FAMILIES, SEQ2SEQ, build, make_dialogues, vocab_size

ROWS = make_dialogues(13)
PROMPTS = [row["messages"][:-1] for row in ROWS]  # type: ignore[index]
ANSWERS = [str(row["completion"]) for row in ROWS]
SETTINGS = GenerationSpec(max_new_tokens=12)


def generator(family: str, device: Device, batch_size: int = 4, max_length: int = 48, **more: int) -> Generator:
    return Generator(
        LoadedModel(*build(family)), device, max_length, batch_size, GenerationSpec(max_new_tokens=12, **more)
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_a_batch_gives_what_single_prompts_give(family: str, cpu: Device) -> None:
    alone, together = generator(family, cpu, 1), generator(family, cpu, 8)
    one, many = alone.generate(PROMPTS), together.generate(PROMPTS)
    assert one.texts == many.texts and one.num_tokens.tolist() == many.num_tokens.tolist()
    assert len(set(one.texts)) > 3  # random weights, but answers depend on the question
    for left, right in zip(
        alone.log_likelihoods(PROMPTS, ANSWERS), together.log_likelihoods(PROMPTS, ANSWERS), strict=True
    ):
        np.testing.assert_allclose(left, right, atol=1e-4)
    np.testing.assert_allclose(alone.embed(PROMPTS), together.embed(PROMPTS), atol=1e-4)


@pytest.mark.parametrize("family", ["llama", "t5"])
def test_drawn_answers_are_the_same_for_a_seed_and_leave_torchs_own_alone(family: str, cpu: Device) -> None:
    model = generator(family, cpu)
    before = torch.get_rng_state()
    one, again, other = (model.sample(PROMPTS, 1.0, seed) for seed in (1, 1, 2))
    assert one == again != other and torch.equal(torch.get_rng_state(), before)
    assert model.sample(PROMPTS, 1e-4, 3) == model.generate(PROMPTS).texts  # cold: the likeliest token


def test_draws_come_from_the_whole_vocabulary_at_the_models_own_odds(cpu: Device) -> None:
    """The library's own default keeps the 50 likeliest tokens; here the 51st is nearly as likely as the others."""
    loaded = LoadedModel(*build("qwen3", kit="letters"))
    weight = loaded.model.lm_head.weight.data
    model = Generator(loaded, cpu, 48, 64, GenerationSpec(max_new_tokens=1))
    last = torch.tensor(loaded.tokenizer.apply_chat_template([{"role": "user", "content": "a"}], add_generation_prompt=True)[
        "input_ids"
    ])  # fmt: skip
    with torch.inference_mode():
        hidden = loaded.model(last[None], output_hidden_states=True).hidden_states[-1][0, -1]
    weight.zero_()
    unlikeliest = loaded.tokenizer.convert_tokens_to_ids("q")
    weight[unlikeliest] = -0.1 * hidden / hidden.norm() ** 2
    assert len(weight) == 51 and "q" in model.sample(["a"] * 1000, 1.0, 1)


def test_the_loss_of_a_text_is_that_of_all_its_tokens(cpu: Device) -> None:
    model, tokenizer = build("llama")
    found = generator("llama", cpu, 2).text_losses(["card lost my money", "please", "card " * 200])
    assert found is not None
    ids = torch.tensor([[BOS, *tokenizer("card lost my money", add_special_tokens=False)["input_ids"]]])
    with torch.inference_mode():
        odds = model(ids).logits[0].log_softmax(-1)
    wanted = -sum(float(odds[place, token]) for place, token in enumerate(ids[0, 1:]))
    assert found[0][0] == pytest.approx(wanted, rel=1e-4)
    assert found[1].tolist() == [18, 6, 95 * 5 - 1]  # cut at 96 positions: 95 words and the token before them
    assert generator("t5", cpu).text_losses(["card"]) is None


def test_greedy_is_the_likeliest_token_at_each_step(cpu: Device) -> None:
    model, tokenizer = build("llama")
    found = generator("llama", cpu).generate(PROMPTS)
    for number, prompt in enumerate(PROMPTS):
        ids = list(tokenizer.apply_chat_template(prompt, add_generation_prompt=True, tokenize=True, return_dict=False))
        assert found.num_prompt_tokens[number] == len(ids) and not found.was_cut[number]
        answer: list[int] = []
        while len(answer) < 12 and (not answer or answer[-1] != EOS):
            with torch.inference_mode():
                answer.append(int(model(torch.tensor([[*ids, *answer]])).logits[0, -1].argmax()))
        assert found.texts[number] == tokenizer.decode(answer, skip_special_tokens=True).strip()
        assert found.num_tokens[number] == len(answer) and found.stopped[number] == (answer[-1] == EOS)


def test_an_answer_ends_with_the_token_that_ends_it(cpu: Device) -> None:
    model, tokenizer = build("qwen3")
    model.lm_head.weight.data[EOS] = 10 * model.lm_head.weight.data.abs().max()
    found = Generator(LoadedModel(model, tokenizer), cpu, 48, 4, SETTINGS).generate(PROMPTS)
    ended = found.stopped
    assert ended.any() and (found.num_tokens[ended] <= 12).all() and (found.num_tokens[~ended] == 12).all()
    assert not any("<" in text for text in found.texts)


@pytest.mark.parametrize("family", ["llama", "t5"])
def test_the_likelihood_is_of_the_answer_alone(family: str, cpu: Device) -> None:
    model, tokenizer = build(family)
    sums, counts = generator(family, cpu).log_likelihoods(PROMPTS, ANSWERS)
    for number, (prompt, answer) in enumerate(zip(PROMPTS, ANSWERS, strict=True)):
        target = [*tokenizer(answer, add_special_tokens=False)["input_ids"], EOS]
        with torch.inference_mode():
            if family in SEQ2SEQ:
                ids = torch.tensor([tokenizer(prompt[0]["content"])["input_ids"]])
                logits = model(input_ids=ids, decoder_input_ids=torch.tensor([[0, *target[:-1]]])).logits[0]
            else:
                before = tokenizer.apply_chat_template(
                    prompt, add_generation_prompt=True, tokenize=True, return_dict=False
                )
                logits = model(torch.tensor([[*before, *target]])).logits[0, len(before) - 1 : -1]
        wanted = -logits.log_softmax(-1)[range(len(target)), target].sum()
        assert counts[number] == len(target) and sums[number] == pytest.approx(float(wanted), rel=1e-5)


def test_a_long_prompt_loses_its_beginning_and_keeps_the_ends_of_the_template(cpu: Device) -> None:
    long = [{"role": "user", "content": "card " * 60 + "refund"}]
    found = generator("llama", cpu, max_length=10).generate([long, PROMPTS[0]])
    assert found.num_prompt_tokens[0] == 10 and found.was_cut.tolist() == [
        True,
        len(PROMPTS[0][0]["content"].split()) > 6,
    ]
    from ftcore.models.prompts import PromptEncoder

    tokenizer = build("llama")[1]
    ids = PromptEncoder(tokenizer, is_decoder=True).prompt(long, 10).ids
    tokens = tokenizer.convert_ids_to_tokens(ids)
    assert tokens == ["<s>", "<|user|>", *["card"] * 5, "refund", "</s>", "<|assistant|>"] and ids[0] == BOS
    with pytest.raises(BaseModelError, match="96 positions"):
        Generator(LoadedModel(*build("llama")), cpu, 48, 4, GenerationSpec(max_new_tokens=95))


def test_long_rows_get_smaller_batches(cpu: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    model = generator("llama", cpu, batch_size=8)
    wanted = model.log_likelihoods(PROMPTS, ANSWERS)[0]
    monkeypatch.setattr("ftcore.models.generation._MAX_LOGITS", 2 * 20 * vocab_size())
    sizes = [len(rows) for rows in model._batches([20] * 4 + [50], bounded=True)]
    assert sizes == [2, 2, 1]
    np.testing.assert_allclose(model.log_likelihoods(PROMPTS, ANSWERS)[0], wanted, atol=1e-4)


def test_bf16_is_close(cpu: Device) -> None:
    exact = generator("llama", cpu).log_likelihoods(PROMPTS, ANSWERS)[0]
    close = generator("llama", Device("cpu", "bf16", 1))
    np.testing.assert_allclose(close.log_likelihoods(PROMPTS, ANSWERS)[0], exact, rtol=0.03)
    assert close.embed(PROMPTS).dtype == np.float32 and len(close.generate(PROMPTS).texts) == len(PROMPTS)


def test_none_is_fine_and_a_text_is_one_user_turn(cpu: Device) -> None:
    model = generator("llama", cpu)
    nothing = model.generate([])
    assert nothing.texts == [] and nothing.stopped.shape == (0,) and model.embed([]).shape == (0, 32)
    assert [part.shape for part in model.log_likelihoods([], [])] == [(0,), (0,)]
    assert model.generate(["card lost"]).texts == model.generate([[{"role": "user", "content": "card lost"}]]).texts


def test_threads_may_share_a_generator(cpu: Device) -> None:
    model = generator("llama", cpu)
    wanted = model.generate(PROMPTS).texts
    with ThreadPoolExecutor(4) as pool:
        assert all(found.texts == wanted for found in pool.map(lambda _: model.generate(PROMPTS), range(6)))


def test_beams_find_a_likelier_answer(cpu: Device) -> None:
    greedy, beams = generator("bart", cpu), generator("bart", cpu, num_beams=4)
    assert beams.generate(PROMPTS).texts != greedy.generate(PROMPTS).texts


@pytest.mark.parametrize("config", [PromptTuningConfig, PrefixTuningConfig])
@pytest.mark.parametrize("family", ["llama", "t5"])
def test_a_prompt_adapter_answers_the_same_in_any_batch(config: type, family: str, cpu: Device) -> None:
    model, tokenizer = build(family)
    task = TaskType.SEQ_2_SEQ_LM if family == "t5" else TaskType.CAUSAL_LM
    wrapped = get_peft_model(model, config(task_type=task, num_virtual_tokens=3))
    torch.manual_seed(3)
    for parameter in wrapped.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter)
    wrapped.double()  # in float32 some CPUs round by more than what is allowed below
    loaded = LoadedModel(wrapped.eval(), tokenizer)
    alone, together = (Generator(loaded, cpu, 48, size, SETTINGS) for size in (1, 8))
    one, many = alone.generate(PROMPTS), together.generate(PROMPTS)
    assert one.texts == many.texts and one.texts != generator(family, cpu).generate(PROMPTS).texts
    np.testing.assert_allclose(
        alone.log_likelihoods(PROMPTS, ANSWERS)[0], together.log_likelihoods(PROMPTS, ANSWERS)[0], atol=1e-4
    )
    for number in range(
        0, len(PROMPTS), 4
    ):  # each answer is what the adapted model itself finds likeliest, step by step
        assert many.texts[number] == tokenizer.decode(
            step_by_step(wrapped, tokenizer, number), skip_special_tokens=True
        )


def step_by_step(model: torch.nn.Module, tokenizer: object, number: int) -> list[int]:
    prompt, answer = PROMPTS[number], []
    while len(answer) < 12 and (not answer or answer[-1] != EOS):
        if tokenizer.chat_template:
            before = tokenizer.apply_chat_template(prompt, add_generation_prompt=True, tokenize=True, return_dict=False)
            ids, more = torch.tensor([[*before, *answer]]), {}
        else:
            ids = torch.tensor([tokenizer(prompt[0]["content"])["input_ids"]])
            more = {"decoder_input_ids": torch.tensor([[0, *answer]])}
        with torch.inference_mode():
            answer.append(int(model(input_ids=ids, attention_mask=torch.ones_like(ids), **more).logits[0, -1].argmax()))
    return answer
