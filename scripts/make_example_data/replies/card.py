"""The data card that is written beside the replies."""

from __future__ import annotations

from collections import Counter
from typing import Any

TEXT = """# Example data: customer messages and replies

Messages to the support desk of **Brightwell**, the made-up shop of the intents set, with the replies of its agents, and what people
think of replies. Nothing in it was written by, or is about, a real person.

| File | Rows | Customers | What it is |
|---|---:|---:|---|
{table}

All files have `id`, `group` (customer), `timestamp` (UTC) and `source` (email, chat, phone_transcript, app_review).

- **conversations**: `messages`, a user turn and an assistant turn. January to June 2026. Meant to be split by customer.
- **pairs**: `prompt`, `chosen`, `rejected` (for DPO), and `fault`: what is wrong with the rejected one. July 2026.
- **ratings**: `prompt`, `completion`, `label` (true: thumbs up; for KTO), and `fault` (empty: a good reply). July 2026.
  {slips} of {ratings} ratings are the wrong way round, as people's are.

## How it was made

`python -m scripts.make_example_data.replies --out replies` writes every byte of it, the same on any machine. The messages come from the
phrase banks, voices and slips of the intents set (12 of its intents, those about orders), with other customers, and are about one thing
each. A reply is put together as support desks do it: one text per intent and case, with slots for what the customer said (order number,
amount, day, product, street, name); it asks for an order number or a street where it is needed and missing. The same case and facts
give the same words, so a reader who understands the message can write the reply exactly. A text that nearly repeats another one (Jaccard
similarity of character 4-grams over 0.45) is refused, within a file and between files.

Bad replies have one fault each: {faults}.

## Limits

English only, one shop, one turn each. The replies follow written rules, so a small model can learn them; a figure measured on them says
nothing about your users. The shop's policies are made up.

## Licence

Apache-2.0, like the rest of this repository.
"""
ABOUT = {
    "conversations": "train, validate, test", "pairs": "preferences: two replies to one message",
    "ratings": "preferences: thumbs up or down",
}  # fmt: skip


def card(files: dict[str, list[dict[str, Any]]]) -> str:
    table = "\n".join(
        f"| `{name}.jsonl` | {len(rows):,} | {len({row['group'] for row in rows}):,} | {ABOUT[name]} |"
        for name, rows in files.items()
    )
    counts = Counter(row["fault"] for name in ("pairs", "ratings") for row in files[name] if row["fault"])
    slips = sum(row["label"] == bool(row["fault"]) for row in files["ratings"])
    faults = ", ".join(f"{fault} ({count})" for fault, count in sorted(counts.items()))
    return TEXT.format(table=table, slips=slips, ratings=len(files["ratings"]), faults=faults)
