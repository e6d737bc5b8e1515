"""Teachers and students: what a teacher says of the training rows, computed once; a student made of some of its layers."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ftcore.errors import BaseModelError, DataRefused, IntegrityError
from ftcore.models.base import BaseModel
from ftcore.models.devices import Device
from ftcore.models.loading import LoadedModel, load_classifier, save_model
from ftcore.models.tokens import backend_tokenizer, pad, pad_id_of
from ftcore.records import digest_of
from ftcore.store import Manifest, publish_folder, storage_errors
from ftcore.training.tasks import load_tokenizer
from ftcore.training.trainer import say

_OUTPUTS = "outputs.safetensors"
_BATCH = 64


def load_teacher(teacher: BaseModel, labels: Sequence[str]) -> LoadedModel:
    """A classifier that knows every class of `labels`.

    Raises:
        IntegrityError: The folder is damaged or no model folder of ftcore.
        DataRefused: It lacks classes.
    """
    loaded = load_classifier(teacher.path)
    unknown = sorted(set(labels) - set(loaded.labels))
    if unknown:
        raise DataRefused(
            f"The teacher {teacher.name} knows {len(labels) - len(unknown)} of the {len(labels)} classes; first unknown: "
            f"{unknown[0]}.",
            hint="--set method.distill.teacher=new",
        )
    return loaded


def teacher_outputs(
    teacher: BaseModel, texts: Sequence[str], labels: Sequence[str], max_length: int, device: Device, folder: Path
) -> dict[str, torch.Tensor]:
    """What the teacher says of each text, from `folder` if it was computed before.

    Args:
        labels: Classes of the student; the teacher's other classes are left out.
        folder: Gets a folder named by everything that the outputs depend on.

    Returns:
        `logits` [texts, classes] and `embeddings` [texts, hidden] (mean last hidden state), float32.

    Raises:
        DataRefused, IntegrityError: As `load_teacher`.
    """
    key = digest_of([teacher.digest, list(labels), max_length, device.device, device.precision, list(texts)])
    place = folder / f"outputs-{key[:16]}"
    try:
        Manifest.read(place).verify(place)
    except IntegrityError:
        shutil.rmtree(place, ignore_errors=True)
        loaded = load_teacher(teacher, labels)
        say(f"the teacher {teacher.name} reads {len(texts):,} rows")
        outputs = _forward_all(loaded, texts, labels, max_length, device)
        temporary = folder / f".writing-{key[:16]}"
        with storage_errors(folder):
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir(parents=True)
            save_file(outputs, temporary / _OUTPUTS)
            publish_folder(temporary, place)
    return dict(load_file(place / _OUTPUTS))


def _forward_all(
    loaded: LoadedModel, texts: Sequence[str], labels: Sequence[str], max_length: int, device: Device
) -> dict[str, torch.Tensor]:
    backend = backend_tokenizer(loaded.tokenizer, max_length)
    tokens = [encoding.ids for encoding in backend.encode_batch_fast(list(texts))]
    model, pad_id = loaded.model.to(device.device), pad_id_of(loaded.tokenizer)
    position = {label: index for index, label in enumerate(loaded.labels)}
    columns = torch.tensor([position[label] for label in labels])
    logits = torch.zeros(len(texts), len(labels))
    embeddings = torch.zeros(len(texts), int(model.config.hidden_size))
    order = np.argsort([len(row) for row in tokens], kind="stable").tolist()
    for start in range(0, len(order), _BATCH):
        rows = order[start : start + _BATCH]
        ids, mask = (tensor.to(device.device) for tensor in pad([tokens[row] for row in rows], pad_id))
        with torch.inference_mode(), device.autocast():
            output = model(input_ids=ids, attention_mask=mask, output_hidden_states=True)
        logits[rows] = output.logits.float().cpu()[:, columns]
        embeddings[rows] = mean_hidden(output.hidden_states[-1], mask).cpu()
    return {"logits": logits, "embeddings": embeddings}


def mean_hidden(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """[rows, hidden]: mean over the tokens that are not padding, float32."""
    weights = mask.unsqueeze(-1).float()
    mean: torch.Tensor = (hidden.float() * weights).sum(dim=1) / weights.sum(dim=1)
    return mean


def soft_loss(student: torch.Tensor, teacher: torch.Tensor, temperature: float) -> torch.Tensor:
    """T² · KL(teacher_T ‖ student_T), summed over rows (Hinton et al. 2015, arXiv:1503.02531).

    Args:
        student: Logits [rows, classes].
        teacher: Same.
        temperature: T; logits are divided by it.
    """
    wanted = (teacher.float() / temperature).log_softmax(dim=-1)
    seen = (student.float() / temperature).log_softmax(dim=-1)
    return nn.functional.kl_div(seen, wanted, reduction="sum", log_target=True) * temperature**2


def spread_layers(depth: int, count: int) -> list[int]:
    """`count` of `depth` layers, evenly spread from the first to the last."""
    return [int(at) for at in np.linspace(0, depth - 1, count).round()]


def keep_layers(model: PreTrainedModel, name: str, count: int) -> None:
    """Leave a model with `count` of its layers, as DistilBERT is made of BERT (Sanh et al. 2019, arXiv:1910.01108).

    The configuration follows; save and load the model before use, since layers know their own number.

    Raises:
        BaseModelError: It has not more layers than that.
    """
    depth = int(model.config.num_hidden_layers)
    found = [
        (path, item) for path, item in model.named_modules() if isinstance(item, nn.ModuleList) and len(item) == depth
    ]
    if not found or count >= depth:
        hint = f"--set method.distill.student_layers={max(1, depth // 2)}"
        raise BaseModelError(f"{name} has {depth} layers; a student cannot have {count} of them.", hint=hint)
    kept = spread_layers(depth, count)
    path, layers = found[0]
    model.set_submodule(path, nn.ModuleList([layers[at] for at in kept]))
    model.config.num_hidden_layers = count
    if getattr(model.config, "layer_types", None):
        model.config.layer_types = [model.config.layer_types[at] for at in kept]


def make_student(
    teacher: BaseModel, model: PreTrainedModel, labels: Sequence[str] | None, count: int, folder: Path
) -> BaseModel:
    """A model folder with some of the teacher's layers, the rest of its weights as they are.

    Args:
        teacher: Where the tokenizer is.
        model: The teacher, loaded; changed in place.
        labels: Class names of a classifier; None: a causal language model.
        folder: Written anew.

    Raises:
        BaseModelError: As `keep_layers`.
    """
    keep_layers(model, f"The teacher {teacher.name}", count)
    shutil.rmtree(folder, ignore_errors=True)
    tokenizer: PreTrainedTokenizerBase = load_tokenizer(teacher)
    digest = save_model(model, tokenizer, folder, None if labels is None else tuple(labels))
    return BaseModel(folder, digest, f"{count} layers of {teacher.name}")
