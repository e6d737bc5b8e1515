"""The rules of the gate with the content of the files that they name: what may not change once a result is known."""

from __future__ import annotations

from typing import Any

from ftcore.data.named_files import file_identity
from ftcore.records import digest_of
from ftcore.spec import SHIPPED, FineTuneSpec

FILES = "files"
_METRICS = "metrics."


def rules_of(spec: FineTuneSpec) -> dict[str, Any]:
    """`gate_rules`, and under `files` the identity of what they name: rows that must pass, canaries, prompts and texts of guarded
    probes, a user's own metrics."""
    ruled = ("must_pass", "canaries", *(("safety", "general_text") if spec.gate.probe_guards else ()))
    files = {what: found for what, found in _files(spec).items() if what in ruled or what.startswith(_METRICS)}
    return spec.gate_rules | ({FILES: files} if files else {})


def rules_digest(spec: FineTuneSpec) -> str:
    """SHA-256 of `rules_of`: the same pair judged by others is one more look at the holdout."""
    return digest_of(rules_of(spec))


def compared_digest(spec: FineTuneSpec) -> str:
    """SHA-256 of what an evaluation is made by: baselines, slices, rows that must pass, metrics, probes, how models are asked.

    Whatever changes it makes `evaluate` run again: it is in the cache key of that stage, thresholds of the gate are in neither.
    """
    return digest_of([spec.evaluation.model_dump(mode="json", exclude={"costs", "llm_judge"}), _files(spec)])


def _files(spec: FineTuneSpec) -> dict[str, str]:
    settings, probes = spec.evaluation, spec.evaluation.probes
    named = {"must_pass": settings.must_pass}
    if probes is not None:
        named |= {"canaries": probes.canaries, "safety": probes.safety, "general_text": probes.general_text}
    found = {what: file_identity(spec, name) for what, name in named.items() if name and name != SHIPPED}
    if settings.metrics:
        from ftcore.evaluation.own_metrics import identity

        found |= {f"{_METRICS}{name}": " ".join(parts) for name, parts in identity(settings.metrics).items()}
    return found
