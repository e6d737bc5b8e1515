"""The base model and what of it is trained."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    StringConstraints,
    model_serializer,
    model_validator,
)

from ftcore.spec.base import Fraction, Section, without_unset
from ftcore.spec.phases import AdaptSpec, CurriculumSpec, DistillSpec, PreferSpec


class BaseModelSpec(Section):
    """The pretrained model. Safetensors only; remote code is never run."""

    name: str
    """Hub id (`org/model`, needs `revision`), local folder, `dvc:PATH` (a folder under DVC in the project's repository), or
    `pkg:PACKAGE/FOLDER` inside an installed Python package."""
    revision: str | None = None
    """Commit of the Hub repository, required for a Hub id. For `dvc:PATH` a commit, tag or branch; null: HEAD."""
    sha256: str | None = None
    """SHA-256 of model.safetensors, checked before loading; null: recorded, not checked."""


MethodName = Literal["full", "lora", "qlora", "ia3", "prefix_tuning", "prompt_tuning", "p_tuning", "ln_tuning", "peft"]
_LORA = frozenset({"lora", "qlora"})
VIRTUAL = frozenset({"prefix_tuning", "prompt_tuning", "p_tuning"})
_PEFT = frozenset({*_LORA, *VIRTUAL, "ia3", "ln_tuning", "peft"})
_READ_BY: dict[str, frozenset[str]] = {
    "freeze_embeddings": frozenset({"full"}),
    "freeze_layers": frozenset({"full"}),
    **dict.fromkeys(("rank", "alpha", "dropout", "dora", "rslora", "init"), _LORA),
    "target_modules": _PEFT - VIRTUAL,
    "virtual_tokens": VIRTUAL,
    "modules_to_save": _PEFT,
    "peft": _PEFT,
}
"""Setting of `method` -> the methods that read it; settings that are not here are read by all."""
_NAMED_SETTINGS = {
    "r": "rank", "lora_alpha": "alpha", "lora_dropout": "dropout", "use_dora": "dora", "use_rslora": "rslora",
    "init_lora_weights": "init", "num_virtual_tokens": "virtual_tokens", "target_modules": "target_modules",
    "modules_to_save": "modules_to_save",
}  # fmt: skip
"""PEFT's name -> ours, of what has a field of its own in `method`."""
_SET_BY_TRAINING = frozenset({"task_type", "inference_mode", "base_model_name_or_path", "revision", "auto_mapping"})

PHASES = ("adapt", "distill", "curriculum", "prefer")


class MethodSpec(Section):
    """How to fine-tune. A setting that the method does not read is a fault; docs/methods.md tells which reads what."""

    name: MethodName = "full"
    """full: all weights move; lora: low-rank adapters; qlora: lora beside a base model in 4 bits (CUDA); ia3: factors for keys,
    values and feed-forward layers; ln_tuning: normalisation layers; prefix_tuning, prompt_tuning, p_tuning: virtual tokens before
    the text; peft: any other adapter of PEFT, named in `peft`. What can be merged is merged into the model that is served."""
    start_from: Literal["base", "champion"] = "base"
    """base: every candidate is made from the base model; champion: from the model in production, once there is one."""
    shots: Annotated[int, Field(ge=1)] | None = None
    """Train on so many rows of each class, drawn by `training.seed` (classification); null: all."""
    freeze_embeddings: bool | None = None
    """Keep the input embeddings as they are (full only): faster, and kinder to words that training never shows. null: yes for
    classification, no where the same embeddings write the answer."""
    freeze_layers: Annotated[int, Field(ge=0)] = 0
    """Also keep the first so many encoder layers as they are (full only): half of them make training about 1.5 times faster."""
    rank: Annotated[int, Field(ge=1, le=1024)] = 16
    """Rank of the update (lora, qlora)."""
    alpha: Annotated[float, Field(gt=0)] = 32.0
    """Scale numerator (lora, qlora): the update is scaled by alpha / rank, with `rslora` by alpha / sqrt(rank)."""
    dropout: Fraction = 0.0
    """Dropout before the update (lora, qlora)."""
    dora: bool = False
    """Magnitude and direction of each weight learn apart (lora, qlora; DoRA, arXiv:2402.09353)."""
    rslora: bool = False
    """Scale by alpha / sqrt(rank), which keeps large ranks stable (lora, qlora; arXiv:2312.03732)."""
    init: Annotated[
        str, StringConstraints(pattern=r"^(default|gaussian|orthogonal|pissa|pissa_niter_[0-9]+|olora|mica)$")
    ] = "default"
    """First values (lora, qlora). default: no update at first; gaussian: the same, drawn otherwise; orthogonal: orthogonal
    factors (even ranks); pissa, pissa_niter_N: largest singular vectors of the weights, exact or by N iterations (lora only);
    olora: their QR decomposition (lora only); mica: smallest singular vectors, of which one factor stays fixed."""
    target_modules: list[str] | Literal["all-linear"] | None = None
    """Module names that get an adapter (not for virtual tokens). null: all linear layers for lora and qlora, all normalisation
    layers for ln_tuning; for others what PEFT proposes for the architecture, else all linear layers."""
    modules_to_save: list[str] = Field(default_factory=list)
    """Modules that are trained whole beside the adapter (not full). The head of a classifier always is."""
    virtual_tokens: Annotated[int, Field(ge=1, le=1024)] = 16
    """Trained vectors before each text (prefix_tuning, prompt_tuning, p_tuning)."""
    peft: dict[str, Any] = Field(default_factory=dict)
    """Further fields of PEFT's configuration, by its names; for the method `peft` with `peft_type` (VERA, OFT, LOHA, …)."""
    adapt: AdaptSpec | None = None
    """Read plain text of the field before fine-tuning; null: no."""
    distill: DistillSpec | None = None
    """Learn from a teacher; null: no."""
    curriculum: CurriculumSpec | None = None
    """Easy rows first; null: shuffled."""
    prefer: PreferSpec | None = None
    """Learn from ratings after fine-tuning; null: no."""

    @model_serializer(mode="wrap")
    def _plain(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return without_unset(self, write, PHASES)

    @model_validator(mode="after")
    def _is_read_by_the_method(self) -> MethodSpec:
        fields, faults = type(self).model_fields, []
        for field, methods in _READ_BY.items():
            default = fields[field].get_default(call_default_factory=True)
            if self.name not in methods and getattr(self, field) != default:
                faults.append(f"{self.name} does not read {field} (of {', '.join(sorted(methods))})")
        faults += [*self._faulty_lora(), *self._faulty_peft()]
        if self.start_from == "champion" and self.name == "p_tuning":
            faults.append("p_tuning leaves no weights to go on from; wanted start_from: base, or prompt_tuning")
        if faults:
            raise ValueError("; ".join(faults))
        return self

    def _faulty_lora(self) -> Iterable[str]:
        if self.name not in _LORA:
            return
        if self.init == "orthogonal" and self.rank % 2:
            yield f"init orthogonal needs an even rank, saw {self.rank}"
        if self.name == "qlora" and self.init.startswith(("pissa", "olora")):
            yield f"qlora cannot start from {self.init}, which changes the base weights"
        if self.dora and self.init == "mica":
            yield "dora and init mica exclude each other"

    def _faulty_peft(self) -> Iterable[str]:
        if self.name == "full":
            return
        if (self.name == "peft") != ("peft_type" in self.peft):
            yield "name peft and peft.peft_type go together: set both, or neither"
        for field in sorted(self.peft):
            if field in _SET_BY_TRAINING:
                yield f"peft.{field} is set by the training itself"
            named = _NAMED_SETTINGS.get(field)
            if named and self.name in _READ_BY[named] and (self.name != "peft" or getattr(self, named)):
                yield f"peft.{field} is method.{named} here; set that alone"
