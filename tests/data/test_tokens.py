from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from ftcore.data.tokens import count_tokens, padding_fraction, summarise, token_report
from ftcore.errors import BaseModelError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tokenizer = Tokenizer(WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.enable_truncation(3)  # a stored setting must not cut what is counted
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    return tmp_path


def test_counts(folder: Path) -> None:
    texts = [" ".join(["w"] * count) for count in range(1, 101)]
    stats = summarise(count_tokens(texts, folder), max_length=90)
    assert stats == {"total": 5050.0, "median": 51.0, "p95": 96.0, "max": 100.0, "truncated_fraction": 0.1}
    assert summarise(count_tokens([], folder), 8) == {}


def test_no_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(BaseModelError, match="tokenizer.json"):
        count_tokens(["a"], tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(BaseModelError, match="fast tokenizer"):
        count_tokens(["a"], tmp_path)


def test_padding() -> None:
    assert padding_fraction([1, 3, 2, 2], 2) == pytest.approx(1 - 8 / 10)
    assert padding_fraction([5, 5], 8) == 0.0
    assert padding_fraction([], 8) == 0.0


@given(st.lists(st.integers(1, 60), min_size=1, max_size=60), st.integers(1, 8))
def test_grouping_never_pads_more_and_cut_rows_pad_as_cut(lengths: list[int], batch_size: int) -> None:
    stats = summarise(lengths, 20, batch_size)
    assert 0 <= stats["padding_fraction_grouped"] <= 1
    assert stats["padding_fraction_grouped"] == pytest.approx(
        summarise([min(n, 20) for n in lengths], 20, batch_size)["padding_fraction_grouped"]
    )
    if len(lengths) % batch_size == 0:
        assert stats["padding_fraction_grouped"] <= stats["padding_fraction"] + 1e-12


def test_the_longest_rows_are_named(folder: Path) -> None:
    rows = [{"id": f"r{count}", "text": "w " * count} for count in range(1, 31)]
    report, refused = token_report({"train": rows, "test": []}, "classification", folder, 20, 8)
    assert refused == [] and report["test"] == {}
    assert report["train"]["num_truncated"] == 10
    assert report["train"]["longest"] == ["r30", "r29", "r28", "r27", "r26"]
