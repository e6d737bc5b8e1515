"""A training as one JSON file, for the processes that carry it out together: plain values and paths, nothing pickled.

Models are named by their checked folders, rows are written out; the file lies beside the checkpoints and goes when training ends.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftcore.errors import UsageError
from ftcore.models.base import BaseModel
from ftcore.models.devices import Device
from ftcore.records import canonical_json
from ftcore.spec import AdaptSpec, CurriculumSpec, MethodSpec, TrainingSpec
from ftcore.store import write_durable
from ftcore.training.curriculum import CurriculumOrder
from ftcore.training.history import OutOfMemory
from ftcore.training.tasks import TrainingTask, make_task
from ftcore.training.trainer import RowOrder


@dataclass(frozen=True)
class Recipe:
    """Everything that one attempt to train needs."""

    job: TrainingTask
    method: MethodSpec
    device: Device
    checkpoint_dir: Path
    champion: BaseModel | None = None
    order: RowOrder | None = None
    step: int | None = None
    """Checkpoint to go on from."""
    out_of_memory: Sequence[OutOfMemory] = ()
    """Of earlier attempts."""
    quiet: bool = False

    def write(self, path: Path) -> None:
        """Durably.

        Raises:
            UsageError: The task is one that several processes cannot share.
        """
        if not self.job.made_of or not (self.order is None or isinstance(self.order, CurriculumOrder)):
            seen = f"{type(self.job).__name__} is trained by one process only."
            raise UsageError(seen, hint="--set compute.processes=1 --set compute.nodes=1")
        order = self.order and {"difficulty": self.order.difficulty, "settings": self.order.settings.model_dump()}
        plain = {
            "job": {name: _plain(value) for name, value in self.job.made_of.items()},
            "method": self.method.model_dump(),
            "device": dataclasses.asdict(self.device),
            "checkpoint_dir": str(self.checkpoint_dir.absolute()),
            "champion": _plain(self.champion),
            "order": order,
            "step": self.step,
            "out_of_memory": [dataclasses.asdict(item) for item in self.out_of_memory],
            "quiet": self.quiet,
        }
        write_durable(path, canonical_json(plain))

    @classmethod
    def read(cls, path: Path) -> Recipe:
        """Inverse of `write`.

        Raises:
            FtcoreError: As the task.
        """
        plain = json.loads(path.read_text(encoding="utf-8"))
        job, order = _job(plain["job"]), plain["order"]
        return cls(
            job,
            MethodSpec.model_validate(plain["method"]),
            Device(**plain["device"]),
            Path(plain["checkpoint_dir"]),
            _model(plain["champion"]),
            order and CurriculumOrder(order["difficulty"], job.training, CurriculumSpec(**order["settings"])),
            plain["step"],
            [OutOfMemory(**item) for item in plain["out_of_memory"]],
            plain["quiet"],
        )


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return {"path": str(value.path.absolute()), "digest": value.digest, "name": value.name}
    return value.model_dump() if isinstance(value, TrainingSpec | AdaptSpec) else value


def _model(plain: dict[str, str] | None) -> BaseModel | None:
    return BaseModel(Path(plain["path"]), plain["digest"], plain["name"]) if plain else None


def _job(made_of: dict[str, Any]) -> TrainingTask:
    base, training = _model(made_of.pop("base")), TrainingSpec.model_validate(made_of.pop("training"))
    assert base is not None
    if "adapt" in made_of:
        from ftcore.training.adapting import make_adaptation

        adapt = AdaptSpec.model_validate(made_of.pop("adapt"))
        return make_adaptation(base=base, training=training, adapt=adapt, **made_of)
    labels = tuple(made_of.pop("labels"))
    return make_task(labels=labels, base=base, training=training, **made_of)
