"""Recall and precision of the personal-data detectors on planted values, beside a naive set of regular expressions.

    python benchmarks/personal.py                                    # under a minute on 2 cores
    FTCORE_BANKING77=FOLDER python benchmarks/personal.py                   # with its train.csv and test.csv as further background
    python benchmarks/personal.py --presidio                         # also Presidio's patterns (pip install 'ftcore[presidio]')

Values are made from what the standards say (ITU-T E.123 and national numbering plans, ISO/IEC 7812, ISO 13616, RFC 5321, RFC
4291, issuers' descriptions of their keys), with check digits computed here, not by the code under test; what was missed at first
was looked at, so these are no figures for formats never seen. A planted value is
found if a hit of its kind covers all of it; a hit is right if it overlaps a planted value of its kind. Hard negatives and real
rows hold none, so every hit there is wrong (real rows: unless it is listed as real after reading).
"""

from __future__ import annotations

import argparse
import base64
import csv
import json
import os
import random
import re
import string
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

from ftcore.data.personal import KINDS, PersonalSpan, find_personal
from ftcore.data.personal.presidio import presidio_finder
from ftcore.spec import PresidioSpec

Finder = Callable[[str], list[tuple[str, int, int]]]
PER_KIND = 600


def digits(rng: random.Random, count: int, first: str = string.digits) -> str:
    return rng.choice(first) + "".join(rng.choices(string.digits, k=count - 1))


def email(rng: random.Random) -> str:
    first = rng.choice(
        ["anna", "jörg", "li.wei", "o'brien", "maria-jose", "DSMITH", "kim_lee", "x", "j.r.r.t", "søren"]
    )
    local = first + rng.choice(["", "", str(rng.randint(1, 99)), ".work", "+news", "_1984"])
    host = rng.choice(["example", "mail.example", "uni-köln", "my-shop24", "post", "a1.b2.corp"])
    return f"{local}@{host}.{rng.choice(['com', 'co.uk', 'de', 'museum', 'io', 'com.br', 'xn--p1ai', 'email', 'fr'])}"


def phone(rng: random.Random) -> str:
    """National formats as the numbering plans and E.123 show them, and the international form of the same numbers."""
    d = lambda count, first=string.digits: digits(rng, count, first)  # noqa: E731
    area = rng.choice(["212", "415", "312", "617", "206", "305", "702", "512"])
    exchange = d(3, "23456789")
    us = [f"({area}) {exchange}-{d(4)}", f"{area}-{exchange}-{d(4)}", f"+1 {area} {exchange} {d(4)}",
          f"{area}.{exchange}.{d(4)}", f"+1{area}{exchange}{d(4)}", f"1-{area}-{exchange}-{d(4)}"]  # fmt: skip
    uk = [f"07{rng.choice(['400', '523', '850', '971'])} {d(6)}", f"+44 7{rng.choice(['400', '850'])} {d(6)}", f"020 7{d(3)} {d(4)}",
          f"(0161) 496 0{d(3)}", f"0044 20 7{d(3)} {d(4)}", f"07{rng.choice(['523', '971'])}{d(6)}"]  # fmt: skip
    de = [f"0{rng.choice(['151', '160', '171', '175'])} {d(8, '23456789')[:8]}", f"+49 30 {d(8, '23456789')}", f"030 {d(8, '23456789')}",
          f"+49 (0)89 {d(7, '23456789')}", f"0{rng.choice(['171', '175'])}/{d(7, '23456789')}"]  # fmt: skip
    pairs = " ".join(d(2) for _ in range(4))
    fr = [
        f"06 {pairs}",
        f"+33 6 {pairs}",
        f"01 4{d(1)} {' '.join(d(2) for _ in range(3))}",
        f"06.{pairs.replace(' ', '.')}",
    ]
    other = [
        f"+91 9{d(4)} {d(5)}", f"9{d(4)} {d(5)}", f"+34 6{d(2)} {d(3)} {d(3)}", f"6{d(2)} {d(3)} {d(3)}", f"+39 347 {d(7)}", f"347 {d(7)}",
        f"(11) 9{d(4, '6789')}-{d(4)}", f"+55 11 9{d(4, '6789')}-{d(4)}", f"04{rng.choice('1234')}{d(1)} {d(3)} {d(3)}", f"+61 4{rng.choice('1234')}{d(1)} {d(3)} {d(3)}",
        f"06-{d(8, '12345')}", f"+31 6 {d(8, '12345')}", f"+81 90-{d(4, '123456789')}-{d(4)}", f"+46 70-{d(3)} {d(2)} {d(2)}",
        f"+41 79 {d(3, '23456789')} {d(2)} {d(2)}", f"+48 60{d(1)} {d(3)} {d(3)}", f"+86 138 {d(4)} {d(4)}", f"+27 82 {d(3)} {d(4)}",
    ]  # fmt: skip
    return rng.choice(rng.choice([us, uk, de, fr, other]))


def with_luhn(body: str) -> str:
    total = sum(sum(divmod(int(char) * (2 if place % 2 == 0 else 1), 10)) for place, char in enumerate(reversed(body)))
    return body + str(-total % 10)


def card(rng: random.Random) -> str:
    issuer, length = rng.choice([("4", 16), ("51", 16), ("55", 16), ("2221", 16), ("2720", 16), ("34", 15), ("37", 15), ("6011", 16),
                                 ("3530", 16), ("36", 14), ("62", 16), ("5018", 16), ("6763", 19)])  # fmt: skip
    number = with_luhn(issuer + "".join(rng.choices(string.digits, k=length - len(issuer) - 1)))
    gap = rng.choice(["", " ", "-"])
    groups = {16: (4, 4, 4, 4), 15: (4, 6, 5), 14: (4, 6, 4), 19: (4, 4, 4, 4, 3)}[length]
    starts = [sum(groups[:place]) for place in range(len(groups))]
    return gap.join(number[start : start + size] for start, size in zip(starts, groups, strict=True))


def iban(rng: random.Random) -> str:
    """BBAN structures out of the IBAN registry: n digits, a capital letters, c either."""
    country, structure = rng.choice([("DE", "18n"), ("GB", "4a14n"), ("FR", "10n11c2n"), ("ES", "20n"), ("IT", "1a10n12c"), ("NL", "4a10n"),
        ("BE", "12n"), ("CH", "5n12c"), ("PL", "24n"), ("SE", "20n"), ("NO", "11n"), ("PT", "21n"), ("MT", "4a5n18c"), ("SA", "2n18c"),
        ("BR", "23n1a1c"), ("TR", "5n1n16c"), ("AT", "16n"), ("IE", "4a14n"), ("GR", "7n16c"), ("FI", "14n")])  # fmt: skip
    alphabet = {"n": string.digits, "a": string.ascii_uppercase, "c": string.digits + string.ascii_uppercase}
    bban = "".join(
        "".join(rng.choices(alphabet[kind], k=int(count))) for count, kind in re.findall(r"(\d+)(\w)", structure)
    )
    number = int("".join(str(int(char, 36)) for char in bban + country + "00"))
    whole = f"{country}{98 - number % 97:02d}{bban}"
    spaced = " ".join(whole[start : start + 4] for start in range(0, len(whole), 4))
    return rng.choice([whole, spaced, spaced, whole.lower() if rng.random() < 0.3 else whole])


def ip(rng: random.Random) -> str:
    if rng.random() < 0.6:
        return ".".join(str(rng.randint(1, 254)) for _ in range(4))
    groups = [f"{rng.randint(0, 65535):x}" for _ in range(8)]
    head = rng.choice(["2001", "2a02", "fe80", "fd12"])
    return rng.choice([":".join([head, *groups[1:]]), f"{head}:{groups[1]}::{groups[2]}", f"{head}::{groups[3]}:{groups[4]}",
                       f"{head}:db8:{groups[1]}:{groups[2]}::1"])  # fmt: skip


def secret(rng: random.Random) -> str:
    def some(alphabet: str, count: int) -> str:
        return "".join(rng.choices(alphabet, k=count))

    letters, lower = string.ascii_letters + string.digits, string.ascii_lowercase + string.digits
    part = lambda value: base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")  # noqa: E731
    jwt = f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part({'sub': some(lower, 8)})}.{some(letters, 43)}"
    body = "\n".join(some(letters + "+/", 64) for _ in range(3))
    kind = rng.choice(["RSA ", "EC ", "", "OPENSSH "])
    return rng.choice([
        "AKIA" + some(string.ascii_uppercase + "234567", 16), "ghp_" + some(letters, 36), "github_pat_" + some(letters, 22) + "_" + some(letters, 59),
        f"xoxb-{digits(rng, 12)}-{digits(rng, 12)}-{some(letters, 24)}", "sk_live_" + some(letters, 24), "rk_test_" + some(letters, 24),
        jwt, f"-----BEGIN {kind}PRIVATE KEY-----\n{body}\n-----END {kind}PRIVATE KEY-----", "AIza" + some(letters + "-_", 35),
        "glpat-" + some(letters, 20), "hf_" + some(string.ascii_letters, 34), "npm_" + some(letters, 36), "sk-proj-" + some(letters, 48),
        "password=" + some(lower, 10), "pwd: " + some(lower, 6) + "!7A", 'api_key = "' + some(letters, 32) + '"', "API-KEY: " + some("0123456789abcdef", 32),
        "aws_secret_access_key=" + some(letters + "+/", 40), "my password is " + some(string.ascii_lowercase, 6) + digits(rng, 2),
        "postgres://app:" + some(letters, 12) + "@db.internal:5432/app", "Authorization: Bearer " + some(letters, 40), some(letters, 40),
    ])  # fmt: skip


def national_id(rng: random.Random) -> str:
    def cpf() -> str:
        nine = [rng.randint(0, 9) for _ in range(9)]
        for length in (10, 11):
            rest = sum(value * (length - place) for place, value in enumerate(nine)) % 11
            nine.append(0 if rest < 2 else 11 - rest)
        text = "".join(map(str, nine))
        return f"{text[:3]}.{text[3:6]}.{text[6:9]}-{text[9:]}"

    def dni() -> str:
        number = rng.randint(10**7, 10**8 - 1)
        return f"{number}{'TRWAGMYFPDXBNJZSQVHLCKE'[number % 23]}"

    def nir() -> str:
        number = f"{rng.choice('12')}{rng.randint(0, 99):02d}{rng.randint(1, 12):02d}{rng.randint(1, 95):02d}{rng.randint(1, 999):03d}{rng.randint(1, 999):03d}"
        key = 97 - int(number) % 97
        return f"{number[0]} {number[1:3]} {number[3:5]} {number[5:7]} {number[7:10]} {number[10:]} {key:02d}"

    def personnummer() -> str:
        day = f"{rng.randint(40, 99)}{rng.randint(1, 12):02d}{rng.randint(1, 28):02d}"
        number = with_luhn(day + digits(rng, 3))
        return f"{number[:6]}-{number[6:]}"

    def hetu() -> str:
        day, serial = (
            f"{rng.randint(1, 28):02d}{rng.randint(1, 12):02d}{rng.randint(10, 99)}",
            f"{rng.randint(2, 899):03d}",
        )
        return f"{day}-{serial}{'0123456789ABCDEFHJKLMNPRSTUVWXY'[int(day + serial) % 31]}"

    def ssn() -> str:
        return f"{rng.randint(1, 665):03d}-{rng.randint(1, 99):02d}-{rng.randint(1, 9999):04d}"

    def pesel() -> str:
        ten = f"{rng.randint(0, 99):02d}{rng.randint(1, 12):02d}{rng.randint(1, 28):02d}{digits(rng, 4)}"
        check = -sum(int(char) * weight for char, weight in zip(ten, (1, 3, 7, 9) * 3, strict=False)) % 10
        return f"PESEL {ten}{check}"

    def nhs() -> str:
        while True:
            nine = digits(rng, 9, "4679")
            check = 11 - sum(int(char) * (10 - place) for place, char in enumerate(nine)) % 11
            if check != 10:
                number = nine + str(check % 11)
                return f"NHS number {number[:3]} {number[3:6]} {number[6:]}"

    return rng.choice([cpf, dni, nir, personnummer, hetu, ssn, pesel, nhs])()


MAKERS: dict[str, Callable[[random.Random], str]] = {
    "email": email, "phone": phone, "card": card, "iban": iban, "ip": ip, "secret": secret, "national_id": national_id,
}  # fmt: skip
CARRIERS = [
    "Hello, my details are {} and I still wait for an answer.", "{}", "Please use {}, thanks!", "I wrote it down: {}.", "It is {} (the old one no longer works).",
    "Yesterday at 10:45 I gave you {} and paid £12.50 for order 48213.", "Bitte nehmen Sie {} für die Rückfrage.", "Voici: {} ; merci d'avance.",
    "Can you change it to {}? Nobody answered since 2024-03-07.", "<p>{}</p>", "name: A. Smith; data: {}; sent 12/05/2025", "Mi nuevo dato es {}, gracias",
]  # fmt: skip


def negative(rng: random.Random) -> str:
    d = lambda count: digits(rng, count, "123456789")  # noqa: E731
    bad_card = with_luhn("4" + d(14))
    bad_card = bad_card[:-1] + str((int(bad_card[-1]) + rng.randint(1, 9)) % 10)
    bad_iban = iban(rng)[:-1].upper() + "?"
    dotted = ".".join(str(rng.randint(0, 20)) for _ in range(4))
    return rng.choice([
        f"order {d(8)}", f"order number {d(10)}", f"Order #{d(3)}-{d(7)}-{d(7)}", f"invoice INV-2024-{d(6)}", f"ref: {d(12)}", f"ticket {d(7)}",
        f"tracking 1Z{d(3)}AA1{d(10)}", f"version {dotted}", f"v{dotted}", f"firmware {dotted} is out", f"release 10.{d(2)}.{d(1)}", f"build {d(5)}.{d(4)}",
        f"2024-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}", f"{rng.randint(1, 28):02d}/{rng.randint(1, 12):02d}/2023 {rng.randint(0, 23):02d}:{rng.randint(0, 59):02d}:59",
        f"{rng.randint(1, 28)}.{rng.randint(1, 12)}.2025", f"at {rng.randint(0, 23):02d}:{rng.randint(0, 59):02d}", f"$1,{d(3)},{d(3)}.{d(2)}", f"£{d(4)}.{d(2)}", f"{d(6)},50 EUR",
        str(uuid.UUID(int=rng.getrandbits(128))), f"{rng.getrandbits(160):040x}", f"sha256 {rng.getrandbits(256):064x}", f"md5 {rng.getrandbits(128):032x}",
        bad_card, f"{bad_card[:4]} {bad_card[4:8]} {bad_card[8:12]} {bad_card[12:]}", f"account {bad_iban}", f"serial {d(16)}",
        f"MAC {':'.join(f'{rng.randint(0, 255):02x}' for _ in range(6))}", f"ISBN 978-3-16-{d(6)}-{d(1)}", f"{d(3)} kg", f"lat {d(2)}.{d(6)}, lon -{d(2)}.{d(6)}",
        "photo@2x.png", "see @username on social", "std::vector and a::b", f"git@github.com:org/repo{d(2)}.git", f"1.{d(1)}.{d(1)} to 2.{d(1)}.{d(1)}", f"room {d(3)}, floor {d(1)}",
        "my password is not working", "the password: I forgot it", "my token is expired again", "reset password please", f"about {d(3)} {d(3)} rows", f"between {d(4)} and {d(4)} {d(4)}",
        f"timestamp 17{d(8)}", f"epoch 17{d(11)}", f"SKU {d(4)}-{d(4)}-{d(3)}", f"score 3-2, 21-15, {d(2)}-{d(2)}", f"zip {d(5)}-{d(4)}", f"EAN {d(13)}", f"chapter {rng.randint(1, 9)}.{rng.randint(1, 9)}.{rng.randint(1, 9)}.{rng.randint(1, 9)}",
        "internationalisation-of-configuration-files", "https://example.org/articles/2024/03/17/how-we-moved-4711-tables", f"page {d(2)} of {d(3)}", f"IMEI {d(15)}", "CamelCaseIdentifierForTheServiceFactory",
    ])  # fmt: skip


def naive(text: str) -> list[tuple[str, int, int]]:
    """What is usually pasted from the web: one pattern per kind, no check digits, no context."""
    patterns = {
        "email": r"[\w.+-]+@[\w-]+\.[\w.-]+", "phone": r"\+?\d[\d\s().-]{7,}\d", "card": r"\b(?:\d[ -]*?){13,16}\b",
        "iban": r"\b[A-Z]{2}\d{2}[A-Z0-9]{11,30}\b", "ip": r"\b\d{1,3}(?:\.\d{1,3}){3}\b", "secret": r"(?i)(?:api_key|password|secret|token)\s*[=:]\s*\S+",
        "national_id": r"\b\d{3}-\d{2}-\d{4}\b",
    }  # fmt: skip
    return [(kind, *match.span()) for kind, pattern in patterns.items() for match in re.finditer(pattern, text)]


def ftcore(text: str, more: Callable[[str], Iterable[PersonalSpan]] | None = None) -> list[tuple[str, int, int]]:
    return [(span.kind, span.start, span.end) for span in find_personal(text, more=more)]


def presidio() -> dict[str, Finder]:
    """Presidio's patterns for what is planted, without a language model (single hits score 0.3 and more); the same added to the
    built-in detectors; and what `prepare.personal_engine: presidio` adds by default."""
    planted_as = {
        "en": ["EMAIL_ADDRESS", "PHONE_NUMBER", "CREDIT_CARD", "IBAN_CODE", "IP_ADDRESS", "US_SSN", "UK_NHS"], "es": ["ES_NIF"], "pl": ["PL_PESEL"],
    }  # fmt: skip
    engines = [
        presidio_finder(PresidioSpec(model=None, language=language, entities=entities, min_score=0.3), Path())
        for language, entities in planted_as.items()
    ]
    default = presidio_finder(PresidioSpec(model=None), Path())

    def every(text: str) -> list[PersonalSpan]:
        return [span for engine in engines for span in engine(text)]

    return {
        "presidio": lambda text: [(span.kind, span.start, span.end) for span in every(text)],
        "ftcore and all of that": partial(ftcore, more=every),
        "ftcore with personal_engine: presidio": partial(ftcore, more=default),
    }


Case = tuple[str, str, int, int]
"""text, kind planted ("" for none), start, end"""


def planted(seed: int) -> Iterator[Case]:
    rng = random.Random(seed)
    for kind, make in MAKERS.items():
        for _ in range(PER_KIND):
            value, carrier = make(rng), rng.choice(CARRIERS)
            start = carrier.index("{}")
            before, place = core(value) if kind in ("secret", "national_id") else (value, 0)
            yield carrier.replace("{}", value), kind, start + place, start + place + len(before)
    for _ in range(7 * PER_KIND):
        yield rng.choice(CARRIERS).replace("{}", negative(rng)), "", 0, 0


def core(value: str) -> tuple[str, int]:
    """The part that must go: the password without `password=`, the number without its name."""
    if value.startswith(("-----", "ey")):
        return value, 0
    for pattern in (r"Bearer (\S+)", r"://app:([^@]+)@", r"(?:=|:|\bis|PESEL|NHS number) ?\"?([^\s\"]+(?: \d+)*)\"?$"):
        if match := re.search(pattern, value):
            return match[1], match.start(1)
    return value, 0


def real_rows() -> dict[str, list[str]]:
    from ftcore.data.versions import pull
    from ftcore.records import DataRef

    rows: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory() as folder:
        pull(DataRef(repo=str(Path(__file__).parents[1]), rev="HEAD", path="data"), Path(folder) / "data")
        lines = (Path(folder) / "data" / "messages.jsonl").read_text(encoding="utf-8").splitlines()
        rows["shipped rows"] = [json.loads(line)["text"] for line in lines]
    if folder := os.environ.get("FTCORE_BANKING77", ""):
        rows["Banking77"] = [
            row["text"] for name in ("train", "test") for row in csv.DictReader((Path(folder) / f"{name}.csv").open(encoding="utf-8"))
        ]  # fmt: skip
    return rows


def measure(name: str, find: Finder, cases: list[Case], background: dict[str, list[str]]) -> None:
    num, found, hits, right, elsewhere = Counter(), Counter(), Counter(), Counter(), Counter()
    start = time.perf_counter()
    for text, kind, first, end in cases:
        spans = find(text)
        num[kind] += 1
        found[kind] += any(k == kind and a <= first and b >= end for k, a, b in spans)
        elsewhere[kind] += any(k != kind and a <= first and b >= end for k, a, b in spans)
        for k, a, b in spans:
            hits[k] += 1
            right[k] += k == kind and a < end and b > first
    seconds = time.perf_counter() - start
    print(f"\n{name}: {len(cases):,} planted and hard rows in {seconds:.1f} s ({len(cases) / seconds:,.0f} rows/s)")
    print(f"{'kind':12s} {'planted':>8s} {'recall':>8s} {'precision':>10s}   covered by another kind")
    for kind in (*KINDS, "all"):
        kinds = KINDS if kind == "all" else (kind,)
        count, of = sum(num[k] for k in kinds), max(1, sum(hits[k] for k in kinds))
        print(f"{kind:12s} {count:8d} {sum(found[k] for k in kinds) / count:8.2%} {sum(right[k] for k in kinds) / of:10.2%}"
              f"   {sum(elsewhere[k] for k in kinds)}")  # fmt: skip
    for source, texts in background.items():
        start = time.perf_counter()
        wrong = Counter(kind for text in texts for kind, _, _ in find(text))
        rate = len(texts) / (time.perf_counter() - start)
        print(f"{source}: {len(texts):,} rows, {sum(wrong.values())} hits {dict(wrong)}, {rate:,.0f} rows/s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--presidio", action="store_true")
    parser.add_argument(
        "--show", action="store_true", help="list what ftcore misses and hits wrongly (planted values are made up)"
    )
    args = parser.parse_args()
    cases, background = list(planted(args.seed)), real_rows()
    measure("ftcore", ftcore, cases, background)
    if args.show:
        show(cases)
    measure("naive patterns", naive, cases, background)
    if args.presidio:
        for name, find in presidio().items():
            measure(name, find, cases, background)


def show(cases: list[Case]) -> None:
    for text, kind, first, end in cases:
        spans = ftcore(text)
        if kind and not any(k == kind and a <= first and b >= end for k, a, b in spans):
            print("missed", kind, repr(text[first:end]), [(k, text[a:b]) for k, a, b in spans], repr(text))
        for k, a, b in spans:
            if not (k == kind and a < end and b > first):
                print("wrong", k, repr(text[a:b]), "in", repr(text))


if __name__ == "__main__":
    main()
