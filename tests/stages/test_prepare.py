from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from ftcore.data.reading import read_jsonl
from ftcore.data.rows import row_digest
from ftcore.errors import BaseModelError, UsageError
from ftcore.models import embeddings
from ftcore.records import DatasetVersion, PreparedDataset, Released, ValidationReport
from ftcore.spec import FineTuneSpec
from ftcore.stages import prepare
from ftcore.store import Store


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """Enough of a base model to count tokens with; its weights are never loaded here."""
    folder = tmp_path / "base"
    folder.mkdir()
    tokenizer = Tokenizer(WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"\0" * 8)
    return folder


def run(
    tmp_path: Path,
    base: Path,
    members: list[dict[str, Any]],
    key: str = "p",
    set_aside: dict[str, str] | None = None,
    released: Released | None = None,
    **sections: Any,
) -> tuple[PreparedDataset, Path]:
    store = Store(tmp_path / "home")
    folder = store.root / "stages" / "ingest" / "k" / "files"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "all.jsonl").write_text("".join(json.dumps(row) + "\n" for row in members))
    spec = FineTuneSpec.model_validate(
        {"name": "demo", "base_model": {"name": str(base)}, "data": {"repo": None, "files": {"any": "*.jsonl"}}}
        | sections
    )
    spec._root = tmp_path
    dataset = DatasetVersion(
        repo=None, rev="r", path="p", uri="stages/ingest/k", manifest_digest="d", num_files=1, num_bytes=1
    )
    validated = ValidationReport(
        uri="stages/validate/k", data_digest="d", suite_digest="s", splits=(), num_leaked={}, num_leaked_validation={},
        docs_uri="", report_uri="",
    )  # fmt: skip
    (store.root / validated.uri).mkdir(parents=True, exist_ok=True)
    (store.root / validated.uri / "set_aside.json").write_text(json.dumps(set_aside or {}))
    with store.writing("prepare", key) as output:
        record = prepare.run(spec, {"ingest": dataset, "validate": validated, "released": released}, output, store)
        store.commit(output, record, {})
    return record, store.resolve(record.uri)


def members(count: int) -> list[dict[str, Any]]:
    return [
        {"id": f"r{n}", "text": f"  number {n} ", "label": "ba"[n % 2], "group": f"c{n // 3}"} for n in range(count)
    ]


def test_files_and_record_agree(tmp_path: Path, base: Path) -> None:
    record, folder = run(tmp_path, base, [*members(300), {"id": "empty", "text": "", "label": "a", "group": "c1"}])
    assert not record.refused
    assert json.loads((folder / "labels.json").read_text()) == ["a", "b"] == list(record.labels)
    splits = {split: read_jsonl(folder / f"{split}.jsonl") for split in ("train", "validation", "test")}
    assert {split: len(rows) for split, rows in splits.items()} == record.num_rows
    assert sum(record.num_rows.values()) == 300
    assert all(row["text"] == row["text"].strip() for rows in splits.values() for row in rows)
    groups = [{row["group"] for row in rows} for rows in splits.values()]
    assert not groups[0] & groups[1] and not groups[0] & groups[2] and not groups[1] & groups[2]
    assert read_jsonl(folder / "quarantine.jsonl")[0]["reason"] == "empty_text"
    assert record.num_quarantined == {"empty_text": 1}
    assert record.num_tokens == {
        "total": 2.0 * record.num_rows["train"], "median": 2.0, "p95": 2.0, "max": 2.0, "truncated_fraction": 0.0,
        "padding_fraction": 0.0, "padding_fraction_grouped": 0.0,
    }  # fmt: skip
    tokens = json.loads((folder / "tokens.json").read_text())
    assert {split: item["total"] for split, item in tokens.items()} == {
        split: 2.0 * count for split, count in record.num_rows.items()
    }


def test_same_rows_same_digest_and_a_touched_row_another(tmp_path: Path, base: Path) -> None:
    first, _ = run(tmp_path, base, members(200), "a")
    again, _ = run(tmp_path, base, members(200), "b")
    assert first.digest == again.digest
    changed = members(200)
    changed[0]["text"] = "touched"
    assert run(tmp_path, base, changed, "c")[0].digest != first.digest


def test_rows_added_for_old_groups_leave_the_old_holdout_whole(tmp_path: Path, base: Path) -> None:
    _, before = run(tmp_path, base, members(200), "a")
    _, after = run(tmp_path, base, members(300), "b")
    old = {row["id"] for row in read_jsonl(before / "test.jsonl")}
    assert old <= {row["id"] for row in read_jsonl(after / "test.jsonl")}


def test_too_much_set_aside_refuses(tmp_path: Path, base: Path) -> None:
    bad = [{"id": f"e{n}", "text": " ", "label": "a", "group": "x"} for n in range(30)]
    record, folder = run(tmp_path, base, [*members(200), *bad])
    assert "30 of 230 rows (13.04%) were set aside (empty_text 30)" in record.refused[0]
    assert len(read_jsonl(folder / "quarantine.jsonl")) == 30


def conversations(count: int) -> list[dict[str, Any]]:
    """Answers in code, whose line breaks and indentation must live."""
    rows = []
    for n in range(count):
        question = {"from": "human", "value": f"  count to {n}\u200b "}
        answer = {"from": "gpt", "value": f"for i in x:\n    print({n})"}
        rows.append({"id": f"c{n}", "conversations": [question, answer]})
    return rows


def test_conversations_are_prepared_and_counted_under_the_chat_template(tmp_path: Path, base: Path) -> None:
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "chat_template": TEMPLATE}
    (base / "tokenizer_config.json").write_text(json.dumps(config))
    record, folder = run(tmp_path, base, conversations(60), task="instruction", training={"max_length": 4})
    assert not record.refused and record.labels == ()
    row = next(row for row in read_jsonl(folder / "train.jsonl") if row["id"] == "c3")
    assert (row["text"], row["completion"]) == ("count to 3", "for i in x:\n    print(3)")
    assert "label" not in row and [turn["role"] for turn in row["messages"]] == ["user", "assistant"]
    assert record.num_tokens["truncated_fraction"] == 1.0
    tokens = json.loads((folder / "tokens.json").read_text())["train"]
    assert (tokens["num_truncated"], len(tokens["longest"])) == (record.num_rows["train"], 5)
    sequences, pair = run(tmp_path, base, conversations(60), key="s", task="seq2seq")
    assert (
        sequences.num_tokens["max"] == 3.0
        and json.loads((pair / "tokens.json").read_text())["test"]["completion"]["max"] > 3
    )


TEMPLATE = "{% for turn in messages %}{{ turn.role }} {{ turn.content }} {% endfor %}"


def test_a_base_model_without_a_chat_template_is_named(tmp_path: Path, base: Path) -> None:
    (base / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast"}))
    with pytest.raises(BaseModelError, match="no chat template"):
        run(tmp_path, base, conversations(60), task="instruction")


def test_rows_that_the_template_refuses_refuse_the_set(tmp_path: Path, base: Path) -> None:
    strict = "{% if messages[0].content == 'count to 7' %}{{ raise_exception('secret') }}{% endif %}" + TEMPLATE
    (base / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "chat_template": strict})
    )
    record, _ = run(tmp_path, base, conversations(60), task="instruction")
    assert "chat template refuses 1 of" in record.refused[0] and record.refused[0].endswith("ids c7")


def test_malformed_rows_are_quarantined_and_counted(tmp_path: Path, base: Path) -> None:
    bad = [{"id": f"bad{n}", "text": {}, "label": "a"} for n in range(20)]
    record, folder = run(tmp_path, base, [*members(200), *bad[:3]])
    assert not record.refused and record.num_quarantined == {"bad_value": 3}
    assert read_jsonl(folder / "quarantine.jsonl")[0] == {"id": "bad0", "reason": "bad_value", "split": "unread"}
    record, _ = run(tmp_path, base, [*members(200), *bad], "more")
    assert "20 of 220 rows (9.09%) were set aside (bad_value 20)" in record.refused[0]


def test_what_validation_sets_aside_is_quarantined_with_its_reason(tmp_path: Path, base: Path) -> None:
    record, folder = run(tmp_path, base, members(100), set_aside={"r7": "injection_marker"})
    assert record.num_quarantined == {"injection_marker": 1}
    assert [row["id"] for row in read_jsonl(folder / "quarantine.jsonl")] == ["r7"]


def test_personal_data_sets_rows_aside_until_somebody_releases_them(tmp_path: Path, base: Path) -> None:
    rows = [*members(100), {"id": "mail", "text": "write to ann.lee@example.com", "label": "a", "group": "g"}]
    settings = {"prepare": {"personal_data": "quarantine"}}
    record, _ = run(tmp_path, base, rows, **settings)
    assert record.num_quarantined == {"personal_data": 1}
    free = Released(rows=(row_digest(rows[-1]),))
    assert run(tmp_path, base, rows, key="q", released=free, **settings)[0].num_quarantined == {}
    rows[-1]["text"] += " now"  # another row than the one that somebody looked at
    assert run(tmp_path, base, rows, key="r", released=free, **settings)[0].num_quarantined == {"personal_data": 1}


def test_people_get_a_queue_a_bias_report_and_counts_without_values(tmp_path: Path, base: Path) -> None:
    rows = members(300)
    rows[0]["text"] = "my address is kim.lee@example.org"
    rows[1]["source"] = "chat"
    prepare_section = {
        "personal_data": "redact",
        "label_audit": {"splits": ["test", "train"]},
        "augment": {"methods": ["paraphrase", "synonym"], "fraction": 1.0, "synonyms": "words.csv"},
    }
    (tmp_path / "words.csv").write_text("word,synonym\nnumber,count\n")
    record, folder = run(tmp_path, base, rows, prepare=prepare_section)
    personal = read_jsonl(folder / "personal.jsonl")
    assert [(item["id"], item["kinds"]) for item in personal] == [("r0", {"email": 1})]
    assert record.num_personal == {"email": 1}
    assert "kim.lee" not in "".join(path.read_text() for path in folder.rglob("*") if path.is_file())
    train, test = read_jsonl(folder / "train.jsonl"), read_jsonl(folder / "test.jsonl")
    made = [row for row in train if "augmented" in row]
    assert len(made) == sum(record.num_augmented.values()) > 100
    assert set(record.num_augmented) == {"paraphrase", "synonym"}
    assert not any("augmented" in row for row in [*test, *read_jsonl(folder / "validation.jsonl")])
    assert all(row["augmented"].partition(":")[2] in {other["id"] for other in train} for row in made)
    assert json.loads((folder / "bias.json").read_text())["num_rows"] == 300
    assert [item["split"] for item in json.loads((folder / "label_audit.json").read_text())] == ["test", "train"]
    queue = read_jsonl(folder / "label_review.jsonl")
    assert len(queue) == sum(record.num_label_suspects.values())
    assert not any("text" in item for item in queue)


def test_presidio_adds_what_it_finds(tmp_path: Path, base: Path) -> None:
    pytest.importorskip("presidio_analyzer", reason="wants the extra: pip install 'ftcore[presidio]'")
    rows = members(40)
    rows[0]["text"] = "my device is 00:1B:44:11:3A:B7, write to kim@example.org"
    section = {"personal_data": "redact", "personal_engine": "presidio", "presidio": {"model": None}}
    record, folder = run(tmp_path, base, rows, prepare=section)
    assert record.num_personal == {"email": 1, "mac_address": 1}
    (row,) = [row for row in read_jsonl(folder / "train.jsonl") if row["id"] == "r0"]
    assert row["text"] == "my device is [MAC_ADDRESS], write to [EMAIL]"


def test_a_missing_synonyms_file_is_a_mistake_of_the_spec(tmp_path: Path, base: Path) -> None:
    with pytest.raises(UsageError, match="prepare.augment.synonyms"):
        run(tmp_path, base, members(30), prepare={"augment": {"methods": ["synonym"], "synonyms": "none.csv"}})


def test_paraphrases_leave_train_only_where_they_count_as_leaks(
    tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def all_alike(spec: FineTuneSpec) -> Any:
        asked.append(spec.leakage.paraphrases)
        return lambda texts: np.ones((len(texts), 2))

    monkeypatch.setattr(embeddings, "embedder_of", all_alike)
    members = [{"id": f"r{n}", "text": f"message number {n}", "label": "ab"[n % 2]} for n in range(60)]
    told, _ = run(tmp_path, base, members, "told", leakage={"paraphrases": "report"})
    assert (told.num_quarantined, asked) == ({}, [])
    counted, _ = run(tmp_path, base, members, "counted", leakage={"paraphrases": "leak"})
    assert asked == ["leak"]
    assert counted.num_quarantined["leaked"] == told.num_rows["train"] + told.num_rows["validation"]
    assert counted.num_rows["test"] == told.num_rows["test"]


def test_texts_for_adaptation_stand_beside_the_splits(tmp_path: Path, base: Path) -> None:
    more = tmp_path / "home" / "stages" / "ingest" / "k" / "files" / "more"
    more.mkdir(parents=True)
    (more / "notes.txt").write_text("Cards are sent by post.\nCards are sent by post.\n")
    plain, _ = run(tmp_path, base, members(60))
    read, folder = run(tmp_path, base, members(60), "read", method={"adapt": {"texts": ["more/*.txt"]}})
    assert read_jsonl(folder / "texts.jsonl") == [{"id": "more/notes.txt:1", "text": "Cards are sent by post."}]
    assert read.num_quarantined["duplicate"] == plain.num_quarantined.get("duplicate", 0) + 1
    assert read.train_digest != plain.train_digest and read.test_digest == plain.test_digest


def test_a_difficulty_column_is_kept(tmp_path: Path, base: Path) -> None:
    rows = [{**row, "hard": number} for number, row in enumerate(members(60))]
    data = {"repo": None, "files": {"any": "*.jsonl"}, "columns": {"difficulty": "hard"}}
    _, folder = run(tmp_path, base, rows, data=data)
    assert all(row["difficulty"].isdigit() for row in read_jsonl(folder / "train.jsonl"))
    _, folder = run(tmp_path, base, rows, "plain")
    assert not any("difficulty" in row for row in read_jsonl(folder / "train.jsonl"))
