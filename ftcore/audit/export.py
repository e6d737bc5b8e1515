"""The audit pack: one zip that a third party can check without ftcore.

It holds what `audit why` says, the champion's papers (spec, lineage, verdict, manifest), the chain of events, and a script of
a page that verifies the chain with nothing but Python. Payloads of other specs are left out; their digests stay, so the chain
still closes.
"""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

from ftcore.audit.why import why
from ftcore.ledger import Ledger
from ftcore.records import canonical_json, digest_of
from ftcore.registry.package import LINEAGE, VERDICT
from ftcore.store import MANIFEST, Store, write_durable

_CHECK = '''"""Check the chain: python check.py (in the folder of events.jsonl). Needs nothing but Python."""
import hashlib
import json


def digest(value):
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


previous, number = "0" * 64, 0
for line in open("events.jsonl", encoding="utf-8"):
    event, number = json.loads(line), number + 1
    body = {name: event[name] for name in ("seq", "kind", "spec", "actor", "at", "payload_digest", "previous_hash")}
    assert event["seq"] == number and event["previous_hash"] == previous, f"event {number} does not follow"
    assert "payload" not in event or digest(event["payload"]) == event["payload_digest"], f"event {number}: payload changed"
    assert digest(body) == event["hash"], f"event {number}: content changed"
    previous = event["hash"]
print(f"ok: {number} events, last hash {previous}")
'''


def export(target: str, out: Path, ledger: Ledger, store: Store) -> dict[str, object]:
    """Write the audit pack of a spec's champion, or of one model, to `out`.

    Returns:
        `{file, model_digest, num_events, last_hash}`.

    Raises:
        UsageError: Nothing fits `target`.
        IntegrityError: The chain or the model's lineage is damaged: such a pack is never written.
        StorageError: The file cannot be written.
    """
    report = ledger.verify()
    report.raise_for_faults()
    answer = why(target, ledger, store)
    package = store.resolve(answer["package"])
    lines = []
    for event in ledger.events():
        row = {name: getattr(event, name) for name in ("seq", "kind", "spec", "actor", "at", "previous_hash", "hash")}
        row["payload_digest"] = digest_of(dict(event.payload))
        if event.spec == answer["spec"]:
            row["payload"] = dict(event.payload)
        lines.append(canonical_json(row))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as pack:
        pack.writestr("why.json", json.dumps(answer, indent=2, ensure_ascii=False))
        pack.writestr("events.jsonl", "\n".join(lines) + "\n")
        pack.writestr("check.py", _CHECK)
        for name in ("spec.yaml", LINEAGE, VERDICT, MANIFEST):
            pack.writestr(f"package/{name}", (package / name).read_bytes())
    write_durable(out, buffer.getvalue())
    summary = {"file": str(out), "model_digest": answer["model_digest"], "num_events": report.num_events}
    return {**summary, "last_hash": report.last_hash}
