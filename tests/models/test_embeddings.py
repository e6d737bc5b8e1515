from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ftcore.errors import BaseModelError
from ftcore.models.base import BaseModel
from ftcore.models.devices import Device
from ftcore.models.embeddings import Embedder
from tests.tiny_bert import build_tiny_bert

CPU = Device("cpu", "fp32", 1)


def test_they_keep_the_order_and_ignore_padding(tmp_path: Path) -> None:
    base = build_tiny_bert(tmp_path / "base")
    texts = ["card lost", "my money is late please", "refund"]
    together = Embedder(base, CPU, max_length=16, batch_size=3)(texts)
    embed = Embedder(base, CPU, max_length=16, batch_size=1)
    alone = np.concatenate([embed([text]) for text in texts])
    assert len(together) == 3 and together.shape[1] > 1
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_a_base_model_that_does_not_load_is_named(tmp_path: Path) -> None:
    with pytest.raises(BaseModelError, match="broken cannot be loaded"):
        Embedder(BaseModel(tmp_path, "0" * 64, "broken"), CPU)
