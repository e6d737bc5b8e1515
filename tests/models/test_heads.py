"""A decoder as classifier under virtual tokens answers a row the same, whoever shares its batch."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft import PrefixTuningConfig, PromptTuningConfig, TaskType, get_peft_model
from transformers import AutoModelForSequenceClassification

from ftcore.models.heads import read_last_tokens
from tests.tiny_families import build_tiny


@pytest.mark.parametrize("config", [PromptTuningConfig, PrefixTuningConfig])
def test_padding_changes_nothing(config: type, tmp_path: Path) -> None:
    torch.manual_seed(0)
    base = AutoModelForSequenceClassification.from_pretrained(build_tiny("llama", tmp_path).path, num_labels=3)
    base.config.pad_token_id = 0
    model = get_peft_model(base, config(task_type=TaskType.SEQ_CLS, num_virtual_tokens=3)).eval()
    read_last_tokens(model)
    short, long = [7, 8, 9], [9, 10, 11, 12, 13, 14]
    with torch.inference_mode():
        alone = model(input_ids=torch.tensor([short]), attention_mask=torch.ones(1, 3)).logits
        ids = torch.tensor([short + [0] * 3, long])
        together = model(input_ids=ids, attention_mask=(ids != 0).float()).logits
    torch.testing.assert_close(together[0], alone[0], atol=1e-5, rtol=0)
