"""dirty.jsonl: rows with one planted fault each, named in the field `fault`, among clean rows."""

from __future__ import annotations

import random

from .waves import Row

PERSONAL = {
    "pii_email": ["my mail is {} if you need it", "write to {} instead", "The account is under {}, please check."],
    "pii_phone": ["call me on {}", "You can reach me at {} after six.", "my number is {}, ring twice"],
    "pii_card": ["I paid with card {}, exp 04/28.", "card no {} was charged", "Use {} for it please."],
    "pii_iban": ["Please send the money to {}.", "my iban {} thanks", "Bank account: {}"],
}
WRONG = {
    "complaint_staff": "track_order", "promo_code": "warranty_claim", "account_login": "invoice_request",
    "damaged_item": "subscription_upgrade", "change_address": "payment_failed", "invoice_request": "technical_help",
}  # fmt: skip


def _luhn(digits: str) -> str:
    total = 0
    for place, char in enumerate(reversed(digits + "0")):
        number = int(char) * (2 if place % 2 else 1)
        total += number - 9 if number > 9 else number
    return digits + str(-total % 10)


def _iban(rng: random.Random) -> str:
    country, account = rng.choice(["DE", "GB", "NL"]), ""
    if country == "DE":
        account = "".join(str(rng.randrange(10)) for _ in range(18))
    else:
        account = rng.choice(["TEST", "DEMO", "FAKE"]) + "".join(
            str(rng.randrange(10)) for _ in range(14 if country == "GB" else 10)
        )
    digits = "".join(str(int(char, 36)) for char in account + country + "00")
    bare = f"{country}{98 - int(digits) % 97:02d}{account}"
    return " ".join(bare[i : i + 4] for i in range(0, len(bare), 4)) if rng.random() < 0.6 else bare


def _secret(kind: str, rng: random.Random) -> str:
    if kind == "pii_email":
        return f"{rng.choice(['anna.berg', 'tom_h', 'p.rao', 'lena+shop', 'omar99'])}{rng.randrange(99)}@{rng.choice(['example.com', 'example.org', 'mail.example.net'])}"
    if kind == "pii_phone":
        return rng.choice(["+44 7700 900{:03d}", "(555) 555-0{:03d}", "+1-202-555-0{:03d}", "07700 900{:03d}"]).format(
            rng.randrange(100, 200)
        )
    if kind == "pii_card":
        card = _luhn("4000" + "".join(str(rng.randrange(10)) for _ in range(11)))
        return rng.choice(
            [
                card,
                " ".join(card[i : i + 4] for i in range(0, 16, 4)),
                "-".join(card[i : i + 4] for i in range(0, 16, 4)),
            ]
        )
    return _iban(rng)


def _mojibake(text: str, rng: random.Random) -> str:
    accented = (
        text.replace("e", "é", 2).replace("'", "\u2019")
        + " "
        + rng.choice(["Merci à vous", "naïve façade", "50 € – Müller", "Grüße"])
    )
    return accented.encode("utf-8").decode("latin-1" if rng.random() < 0.5 else "cp1252", errors="replace")


def _near(text: str, rng: random.Random) -> str:
    tokens = text.split()
    place = rng.randrange(len(tokens))
    tokens[place] = tokens[place][::-1] if rng.random() < 0.3 else tokens[place] + rng.choice(["s", "?", " please"])
    return " ".join(tokens)


def _spoil(kind: str, row: Row, rng: random.Random) -> Row:
    text = row["text"]
    middle = len(text) // 2
    if kind in PERSONAL:
        return row | {"text": f"{text} {rng.choice(PERSONAL[kind]).format(_secret(kind, rng))}"}
    if kind == "wrong_label":
        return row | {"label": WRONG[row["label"]]}
    return row | {
        "text": {
            "empty_text": lambda: "",
            "whitespace_text": lambda: rng.choice(["   ", "\t \n", "\u00a0\u2003 "]),
            "exact_duplicate": lambda: text,
            "normalised_duplicate": lambda: "  " + text.upper().replace(" ", "  ") + rng.choice(["!!", " ...", "?!"]),
            "near_duplicate": lambda: _near(text, rng),
            "mojibake": lambda: _mojibake(text, rng),
            "replacement_char": lambda: text[:middle] + "\ufffd\ufffd" + text[middle + 1 :],
            "control_chars": lambda: text[:middle] + rng.choice(["\x00", "\x07", "\x1b[31m"]) + text[middle:] + "\x0b",
            "zero_width": lambda: text[:middle] + "\u200b\u200d" + text[middle:] + "\ufeff",
            "html": lambda: f"<div><p>{text}</p><br/>Sent&nbsp;from my <b>phone</b><script>track()</script></div>",
        }[kind]()
    }


KINDS = {
    "empty_text": 4, "whitespace_text": 4, "exact_duplicate": 6, "normalised_duplicate": 6, "near_duplicate": 8, "pii_email": 6,
    "pii_phone": 6, "pii_card": 6, "pii_iban": 5, "wrong_label": 12, "mojibake": 6, "replacement_char": 3, "control_chars": 5,
    "zero_width": 5, "html": 5,
}  # fmt: skip
COPIES = {"exact_duplicate", "normalised_duplicate", "near_duplicate"}


def dirty_rows(messages: list[Row], seed: int, clean: int = 40) -> list[Row]:
    """Clean rows from messages.jsonl, copies of them by other customers, and rows with the other faults."""
    rng = random.Random(f"{seed}/dirty")
    pool = [row for row in messages if 6 <= len(row["text"].split()) <= 40]
    rng.shuffle(pool)
    kept = [pool.pop() | {"fault": ""} for _ in range(clean)]
    rows = list(kept)
    for kind, count in KINDS.items():
        for number in range(count):
            if kind in COPIES:
                base = kept[(number + 7 * sorted(COPIES).index(kind)) % clean] | {
                    "group": f"c9{rng.randrange(100, 999)}"
                }
            elif kind == "wrong_label":
                base = pool.pop(next(place for place, row in enumerate(pool) if row["label"] in WRONG))
            else:
                base = pool.pop()
            rows.append(_spoil(kind, base, rng) | {"fault": kind})
    rng.shuffle(rows)
    return [row | {"id": f"d{place:05d}"} for place, row in enumerate(rows, start=1)]
