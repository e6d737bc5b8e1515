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


def test_processes_that_the_machine_cannot_have(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="sharding: full.*CPU"):
        devices.choose(ComputeSpec(device="cpu", processes=2, sharding="full"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: not including_emulation)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(UsageError, match="processes: 3; torch sees 2 CUDA devices") as caught:
        devices.choose(ComputeSpec(processes=3))
    assert caught.value.hint == "--set compute.processes=2"
    device = devices.choose(ComputeSpec(processes=2, nodes=3, sharding="full"))
    assert device.num_processes == 6
    assert device.summary().endswith("6 processes, sharded")
    assert (device.alone().num_processes, device.alone().sharding) == (1, "none")
