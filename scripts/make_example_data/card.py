"""The data card that is written beside the data."""

from __future__ import annotations

from collections import Counter

from .waves import Row

TEXT = """# Example data: customer-support intents

Messages to the support desk of **Brightwell**, a made-up shop for consumer electronics with a paid membership. Each row is one
message and the intent that a support desk would file it under. Nothing in it was written by, or is about, a real person.

| File | Rows | Customers | What it is |
|---|---:|---:|---|
{table}

Columns: `id`, `text`, `label`, `group` (customer), `timestamp` (UTC), `source` (email, chat, phone_transcript, app_review).
`dirty.jsonl` has one column more, `fault`: the planted fault's name, or empty for a clean row.

## How it was made

`python -m scripts.make_example_data --out data` writes every byte of it, the same on any machine. The phrasings were written by
hand (`scripts/make_example_data/intents/`). The program gives each customer a voice (polite, angry, terse, rambling, chatty, a
learner of English), habits of phrasing, favourite words, possessions and a rate of typing slips, and composes their messages:
an ask, often something settled mentioned in passing ("the refund came through, thanks"), small talk, greeting, sign-off.
A text that repeats another after normalising, or nearly does (Jaccard similarity of character 4-grams over 0.7), is refused,
within a file and between `messages`, `traffic` and `wave2`.

- **messages**: January to June 2026, {old} intents. Meant to be split by customer.
- **traffic**: July 2026, new customers, the same mixture: what production looks like when nothing has changed.
- **wave2**: August 2026. The shop now sells home robots (Rovi) and smart locks (Keylo): new words throughout, and
  {new} intents that `messages` has never seen, {mass} of the rows.
- **dirty**: faults for tests of cleaning, leakage and label checks. The personal data in it are fictitious: reserved phone
  ranges, `example` domains, made-up card numbers and IBANs with valid check digits.

Some messages can be read either way (for example "Where is it? Ordered last week": tracking, or lateness), and its
label is drawn from the two readings, so a perfect score is out of reach, as it is on real mail.

## Labels

{labels}

## Limits

English only, one shop, one label per message. The messages are composed from hand-written phrasings: livelier than templates,
narrower than real mail. Use them to try out and test a training loop; a figure measured on them says nothing about your users.
Voices are caricatures of ways of writing, and say nothing about any group of people.

## Licence

Apache-2.0, like the rest of this repository.
"""

ABOUT = {
    "messages": "wave 1: train, validate, test", "traffic": "unshifted production traffic",
    "wave2": "shifted production traffic", "dirty": "planted faults",
}  # fmt: skip


def card(files: dict[str, list[Row]]) -> str:
    table = "\n".join(
        f"| `{name}.jsonl` | {len(rows):,} | {len({row['group'] for row in rows}):,} | {ABOUT[name]} |"
        for name, rows in files.items()
    )
    first, second = (Counter(row["label"] for row in files[name]) for name in ("messages", "wave2"))
    added = sorted(set(second) - set(first))
    lines = ["| Intent | messages | traffic | wave2 |", "|---|---:|---:|---:|"]
    traffic = Counter(row["label"] for row in files["traffic"])
    lines += [
        f"| {label} | {first[label]} | {traffic[label]} | {second[label]} |" for label in [*sorted(first), *added]
    ]
    mass = sum(second[label] for label in added) / sum(second.values())
    return TEXT.format(table=table, old=len(first), new=len(added), mass=f"{mass:.0%}", labels="\n".join(lines))
