"""The rules of the gate with the content of the files that they name: what may not change once a result is known."""

from __future__ import annotations

from typing import Any

from ftcore.data.named_files import file_identity
from ftcore.records import digest_of
from ftcore.spec import SHIPPED, FineTuneSpec

FILES = "files"


def rules_of(spec: FineTuneSpec) -> dict[str, Any]:
    """`gate_rules`, and under `files` the identity of what they name: rows that must pass, canaries, prompts and texts of guarded
    probes, a user's own metrics."""
    settings, probes, files = spec.evaluation, spec.evaluation.probes, dict[str, Any]()
    named = {"must_pass": settings.must_pass}
    if probes is not None:
        named["canaries"] = probes.canaries
        named |= {"safety": probes.safety, "general_text": probes.general_text} if spec.gate.probe_guards else {}
    files |= {what: file_identity(spec, name) for what, name in named.items() if name and name != SHIPPED}
    if settings.metrics:
        from ftcore.evaluation.own_metrics import identity

        files |= {f"metrics.{name}": " ".join(found) for name, found in identity(settings.metrics).items()}
    return spec.gate_rules | ({FILES: files} if files else {})


def compared_digest(spec: FineTuneSpec) -> str:
    """SHA-256 of the rules that an evaluation is made by: baselines, slices, rows that must pass, metrics, probes, answers."""
    rules = rules_of(spec)
    return digest_of([rules["evaluation"], rules.get(FILES)])
