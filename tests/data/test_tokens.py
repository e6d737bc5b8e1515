from __future__ import annotations

from pathlib import Path

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from ftcore.data.tokens import token_stats
from ftcore.errors import BaseModelError


def test_counts(tmp_path: Path) -> None:
    tokenizer = Tokenizer(WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.enable_truncation(3)  # a stored setting must not cut what is counted
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    texts = [" ".join(["w"] * count) for count in range(1, 101)]
    stats = token_stats(texts, tmp_path, max_length=90)
    assert stats == {"median": 51.0, "p95": 96.0, "max": 100.0, "truncated_fraction": 0.1}
    assert token_stats([], tmp_path, 8) == {}


def test_no_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(BaseModelError, match="tokenizer.json"):
        token_stats(["a"], tmp_path, 8)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(BaseModelError, match="fast tokenizer"):
        token_stats(["a"], tmp_path, 8)
