"""The choice of device and number format."""

from __future__ import annotations

import pytest
import torch

from ftcore.errors import UsageError
from ftcore.models import devices
from ftcore.spec import ComputeSpec


@pytest.mark.parametrize(
    ("flags", "precision"), [({"amx_bf16"}, "bf16"), ({"avx512_bf16"}, "bf16"), ({"avx512f"}, "fp32"), (set(), "fp32")]
)
def test_bf16_where_the_processor_computes_in_it(
    flags: set[str], precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "cpu_flags", lambda: frozenset(flags))
    assert devices.choose(ComputeSpec(device="cpu")).precision == precision
    assert devices.choose(ComputeSpec(device="cpu", precision="fp32")).precision == "fp32"
    assert devices.choose(ComputeSpec(device="cpu", precision="bf16")).precision == "bf16"


def test_cuda_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert devices.choose(ComputeSpec()).device == "cpu"
    with pytest.raises(UsageError, match="torch sees no CUDA device"):
        devices.choose(ComputeSpec(device="cuda"))


def test_threads() -> None:
    assert devices.choose(ComputeSpec(threads=1)).threads == 1
    assert devices.choose(ComputeSpec()).threads >= 1
