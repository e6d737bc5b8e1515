"""Decoders as classifiers read the class off the last token of a row; with virtual tokens they need help to find it."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


def read_last_tokens(model: Any) -> None:
    """Make a decoder's classification head under prompt tuning read each row's last token instead of the batch's last column.

    transformers finds that token by ids; where PEFT gives vectors it takes the last column, padding or not, and a row's
    answer would depend on who shares its batch. Models that see ids, and encoders, stay as they are.

    Args:
        model: A PEFT model with virtual tokens; changed in place.
    """
    base = model.get_base_model()
    score = getattr(base, "score", None)
    if score is None or model.active_peft_config.peft_type == "PREFIX_TUNING":
        return
    masks: list[torch.Tensor] = []

    def remember(module: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        masks[:] = [] if named.get("input_ids") is not None else [named["attention_mask"]]

    def pick(module: nn.Module, arguments: tuple[Any, ...], scores: torch.Tensor) -> torch.Tensor:
        if not masks:
            return scores
        places = torch.arange(scores.shape[1], device=scores.device)
        last = (masks[0].to(scores.device) * places).argmax(dim=-1)
        return scores[torch.arange(len(scores), device=scores.device), last].unsqueeze(1)  # [rows, 1, classes]

    base.register_forward_pre_hook(remember, with_kwargs=True)
    score.register_forward_hook(pick)
