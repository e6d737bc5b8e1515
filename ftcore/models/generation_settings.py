"""How a model generates, and how much room it has: read from the model and from the spec, the model's own taste left out."""

from __future__ import annotations

import copy
from typing import Any

from ftcore.errors import BaseModelError
from ftcore.models.adapters import is_adapted
from ftcore.models.loading import LoadedModel
from ftcore.spec import GenerationSpec


def generation_config(loaded: LoadedModel, settings: GenerationSpec) -> tuple[Any, frozenset[int]]:
    """Settings of `generate`, greedy or beam search, and the tokens that end an answer.

    Raises:
        BaseModelError: The model knows no such token.
    """
    config = copy.deepcopy(loaded.model.generation_config)
    eos = config.eos_token_id if isinstance(config.eos_token_id, list) else [config.eos_token_id]
    ends = frozenset(int(token) for token in (*eos, loaded.tokenizer.eos_token_id) if token is not None)
    if not ends:
        raise BaseModelError("The model knows no token that ends an answer.", hint="set eos_token in its tokenizer")
    config.eos_token_id = sorted(ends)
    pad_id = loaded.tokenizer.pad_token_id
    config.pad_token_id = int(pad_id) if pad_id is not None else min(ends)
    config.do_sample, config.num_beams = False, settings.num_beams
    config.temperature = config.top_p = config.top_k = config.min_p = config.typical_p = None
    config.max_new_tokens, config.max_length = settings.max_new_tokens, None
    config.forced_eos_token_id = None  # an answer that is cut has not ended
    config.use_cache, config.cache_implementation, config.return_dict_in_generate = True, None, False
    if config.decoder_start_token_id is None:
        config.decoder_start_token_id = getattr(loaded.model.config, "decoder_start_token_id", None)
    return config, ends


def num_positions(model: Any) -> int | None:
    """Tokens that the model has positions for, besides those of a prompt adapter; None: no such limit."""
    limit = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    virtual = model.active_peft_config.num_virtual_tokens if is_adapted(model) else 0
    return None if limit is None else int(limit) - int(virtual or 0)
