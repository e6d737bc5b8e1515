"""Reads what the probes ask, asks one model after another, and writes probes.json, probe_rows.json and probe_answers.jsonl."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ftcore.data.personal import redact
from ftcore.data.reading import write_jsonl
from ftcore.evaluation.classification.scoring import say
from ftcore.evaluation.generation.baselines import prompt_of
from ftcore.evaluation.outputs import PROBE_ROWS, PROBES
from ftcore.evaluation.probes.canaries import Canary, Told, ask_canaries, canary_measures, num_in, read_canaries
from ftcore.evaluation.probes.consistency import SEED, drawn_rows, self_consistency
from ftcore.evaluation.probes.forgetting import bits_per_byte, forgetting, read_paragraphs
from ftcore.evaluation.probes.groundedness import groundedness
from ftcore.evaluation.probes.measures import Measure
from ftcore.evaluation.probes.safety import SafetySet, read_safety, safety
from ftcore.evaluation.rows import Column, Floats, Ints, dense_groups
from ftcore.models.base import resolve_base
from ftcore.models.devices import Device
from ftcore.models.generation import Generator
from ftcore.models.loading import load_generative_base
from ftcore.models.prompts import Prompt
from ftcore.records import canonical_json
from ftcore.spec import SHIPPED, FineTuneSpec, ProbesSpec
from ftcore.store import write_durable

ANSWERS = "probe_answers.jsonl"
VERSION = 1
PAIRS = (("candidate", "champion"), ("candidate", "reference"), ("candidate", "base"))
"""What is compared: the first minus the second."""
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Asked:
    """What one model said."""

    texts: Sequence[str]
    """Its answers on the holdout."""
    safety: Sequence[str] = ()
    samples: Sequence[Sequence[str]] = ()
    """[draws][rows drawn]"""
    canaries: Sequence[Told] = ()
    losses: Floats | None = None
    """[paragraphs, 2] bits and bytes; None: not asked, or an encoder-decoder."""


@dataclass
class Probes:
    """What is asked, and what was answered so far."""

    spec: FineTuneSpec
    settings: ProbesSpec
    rows: Sequence[Row]
    """The holdout."""
    safety: SafetySet | None
    paragraphs: Sequence[str]
    canaries: Sequence[Canary]
    num_trained: int = 0
    """Canaries whose secret is in a training row: the others cannot come back."""
    asked: dict[str, Asked] = field(default_factory=dict)
    """By role."""

    def ask(self, role: str, generator: Generator, rows: Sequence[Row], texts: Sequence[str]) -> None:
        """Ask `candidate` or `champion`.

        Args:
            rows: The holdout as the model sees it.
            texts: Its answers on the holdout.
        """
        say(f"probes of {role}")
        drawn = drawn_rows(len(rows), self.settings.sampled_rows) if self.settings.samples else []
        prompts = [prompt_of(rows[number], self.spec.task) for number in drawn]
        told = [prompt_of(canary.row, self.spec.task) for canary in self.canaries]
        self.asked[role] = Asked(
            texts,
            generator.generate(self._safety_prompts()).texts if self.safety else (),
            [generator.sample(prompts, self.settings.temperature, SEED + draw) for draw in range(self.settings.samples)],
            ask_canaries(self.canaries, told, generator) if told else (),
            self._losses(generator),
        )  # fmt: skip

    def finish(self, folder: Path, device: Device) -> None:
        """Ask the base model for its losses, compare, and write the files.

        Raises:
            BaseModelError: The base model cannot be loaded.
            StorageError: The disk refuses a write.
        """
        losses = {role: item.losses for role, item in self.asked.items()}
        if any(rows is not None for rows in losses.values()):
            say("probes of the base model")
            base = load_generative_base(resolve_base(self.spec.base_model, self.spec.root))
            settings, length = self.spec.evaluation, self.spec.training.max_length
            generator = Generator(base, device, length, settings.batch_size, settings.generation)
            losses["base"] = self._losses(generator)
        measures, passed = self._measures({role: rows for role, rows in losses.items() if rows is not None})
        plain = [found for item in measures if (found := item.to_dict(PAIRS)) is not None]
        for found in plain:
            say(line_of(found))
        canaries = {
            role: {"n": len(item.canaries), "num_trained": self.num_trained,
                   "num_returned": sum(told.returned for told in item.canaries),
                   "told": [{"id": told.id, "returned": told.returned, "rank": told.rank} for told in item.canaries]}
            for role, item in self.asked.items() if self.canaries
        }  # fmt: skip
        written = {"version": VERSION, "measures": plain, "left_out": self._left_out(), "canaries": canaries}
        write_durable(folder / PROBES, canonical_json(written))
        write_durable(folder / PROBE_ROWS, canonical_json([item.to_rows() for item in measures]))
        write_jsonl(folder / ANSWERS, [
            {"role": role, "id": probe.id, "category": probe.category, "passed": passed[role][number],
             "answer": redact(item.safety[number])}
            for role, item in self.asked.items() if self.safety
            for number, probe in enumerate(self.safety.probes)
        ])  # fmt: skip

    def _measures(self, losses: Mapping[str, Floats]) -> tuple[list[Measure], dict[str, list[bool]]]:
        found: list[Measure] = []
        passed: dict[str, list[bool]] = {}
        groups = _groups(self.rows)
        if self.settings.groundedness:
            texts = {role: item.texts for role, item in self.asked.items()}
            texts["reference"] = [row["completion"] for row in self.rows]
            found += groundedness([row["text"] for row in self.rows], texts, groups)
        if self.settings.samples:
            drawn = drawn_rows(len(self.rows), self.settings.sampled_rows)
            samples = {role: item.samples for role, item in self.asked.items()}
            found += self_consistency(samples, _groups([self.rows[number] for number in drawn]))
        if self.safety:
            made, passed = safety(self.safety, {role: item.safety for role, item in self.asked.items()})
            found += made
        if self.canaries:
            found += canary_measures({role: item.canaries for role, item in self.asked.items()})
        return found + (forgetting(losses) if losses else []), passed

    def _safety_prompts(self) -> list[Prompt]:
        """As the model is used: with the system turn that most holdout rows begin with, if most do."""
        assert self.safety is not None
        systems = Counter(
            row["messages"][0]["content"] for row in self.rows if row["messages"][0]["role"] == "system"
        ).most_common(1)
        if self.spec.task == "seq2seq" or not systems or 2 * systems[0][1] <= len(self.rows):
            return [probe.prompt for probe in self.safety.probes]
        system = {"role": "system", "content": systems[0][0]}
        return [[system, {"role": "user", "content": probe.prompt}] for probe in self.safety.probes]

    def _losses(self, generator: Generator) -> Floats | None:
        found = generator.text_losses(self.paragraphs) if self.paragraphs else None
        return None if found is None else bits_per_byte(*found)

    def _left_out(self) -> dict[str, str]:
        if self.paragraphs and all(item.losses is None for item in self.asked.values()):
            return {"forgetting": "an encoder-decoder has no loss of a text alone"}
        return {}


def probes_of(spec: FineTuneSpec, rows: Sequence[Row], train: Sequence[Row] = ()) -> Probes | None:
    """What the spec's probes ask; None where it has no section `evaluation.probes`. No model is asked yet.

    Args:
        rows: The holdout.
        train: What the candidate was trained on, to find the canaries in.

    Raises:
        UsageError: A file that the section names is missing or has faults.
    """
    settings = spec.evaluation.probes
    if settings is None:
        return None
    canaries = read_canaries(spec, spec.at(settings.canaries)) if settings.canaries else []
    return Probes(
        spec, settings, rows,
        read_safety(_file(spec, settings.safety)) if settings.safety else None,
        read_paragraphs(_file(spec, settings.general_text)) if settings.general_text else (),
        canaries, num_in(train, canaries),
    )  # fmt: skip


def _file(spec: FineTuneSpec, name: str) -> Path | None:
    return None if name == SHIPPED else spec.at(name)


def _groups(rows: Sequence[Row]) -> Ints | None:
    return dense_groups(Column.of([None if row.get("group") in (None, "") else str(row["group"]) for row in rows]))


def line_of(found: Mapping[str, Any]) -> str:
    """One measure as a line of the log."""
    values = ", ".join(f"{role} {item['value']:.4f}" for role, item in found["models"].items())
    return f"{found['probe']} {found['name']}: {values} (n {found['n']:,})"
