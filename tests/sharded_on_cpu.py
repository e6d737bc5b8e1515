"""A worker that cuts the model up among CPU processes (FSDP2 over gloo), which accelerate itself offers for accelerators only."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from accelerate import PartialState
from accelerate.utils import DistributedType

from ftcore.training import worker

_begin = PartialState.__init__


def _as_accelerators(self: PartialState, *arguments: Any, **named: Any) -> None:
    _begin(self, *arguments, **named)
    self.distributed_type = DistributedType.MULTI_GPU


if __name__ == "__main__":
    PartialState.__init__ = _as_accelerators
    sys.exit(worker.main(Path(sys.argv[1])))
