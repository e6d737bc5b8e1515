"""Puts a message together: an ask, perhaps something said in passing, perhaps small talk, in one customer's voice."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from . import voice
from .grammar import expand
from .near import Seen
from .words import SOURCES, Customer, weighted

HERE = Path(__file__).parent / "intents"
CONFUSABLE = [
    {"track_order", "late_delivery", "change_address"},
    {"wrong_item", "damaged_item", "return_item", "warranty_claim"},
    {"refund_status", "return_item", "cancel_order", "double_charge"},
    {"payment_failed", "double_charge", "invoice_request", "promo_code"},
    {"account_login", "close_account", "update_details"},
    {"subscription_cancel", "subscription_upgrade", "close_account", "cancel_order"},
    {"technical_help", "product_question", "warranty_claim"},
    {"complaint_staff", "late_delivery", "refund_status"},
    {"robot_mapping_problem", "technical_help", "app_pairing"},
    {"data_privacy_request", "close_account", "update_details"},
    {"trade_in", "return_item", "promo_code"},
]
BRIDGES = [
    "",
    "",
    "",
    "",
    "But",
    "Now",
    "What I need today:",
    "So now:",
    "My question is different.",
    "However,",
    "This time:",
    "Anyway,",
]
AFTERTHOUGHTS = ["", "", "", "Oh and", "Btw,", "PS:", "By the way,", "Also,"]
ORDERS = ["It's about <ord>.", "That was <ord>.", "For <ord>.", "(Reference|Ref) <ord>.", "You find it under <ord>."]
QUOTED = 0.4


@dataclass
class Bank:
    """Phrasings by intent, and the messages that a careful reader would label either way."""

    ask: dict[str, list[str]] = field(default_factory=dict)
    aside: dict[str, list[str]] = field(default_factory=dict)
    either: list[tuple[list[str], list[str]]] = field(default_factory=list)
    frames: dict[str, list[str]] = field(default_factory=dict)

    def add(self, name: str) -> None:
        content = yaml.safe_load((HERE / name).read_text(encoding="utf-8"))
        if isinstance(content, list):
            self.either += [(entry["labels"], entry["lines"].strip().splitlines()) for entry in content]
            return
        if "before" in content:
            self.frames = content
            return
        for intent, kinds in content.items():
            self.ask.setdefault(intent, []).extend(kinds["ask"].strip().splitlines())
            self.aside.setdefault(intent, []).extend(kinds.get("aside", "").strip().splitlines())


def load(*names: str) -> Bank:
    bank = Bank()
    for name in names:
        bank.add(name)
    return bank


@dataclass(frozen=True)
class Mix:
    """How often a message wanders, how often it can be read either way, and how often it ends with the order."""

    aside_before: float = 0.27
    aside_after: float = 0.15
    either: float = 0.025
    order: float = 0.0


def _ask(lines: list[str], customer: Customer, rng: random.Random) -> str:
    """A customer has habits: one sixth of the phrasings comes far more easily to them than the rest."""
    weights = [5 if number % 6 == customer.habit else 1 for number in range(len(lines))]
    picks = rng.choices(lines, weights=weights, k=3)
    line = (
        min(picks, key=len)
        if customer.voice == "terse"
        else max(picks, key=len)
        if customer.voice == "rambling"
        else picks[0]
    )
    return expand(line, rng, customer.fill)


def _aside(bank: Bank, label: str, customer: Customer, rng: random.Random, where: str) -> str:
    """Another intent's words: settled and mentioned in passing, or quoted and set aside."""
    quoted = rng.random() < QUOTED
    rivals = [
        intent for intent in bank.aside if intent != label and (bank.ask.get(intent) if quoted else bank.aside[intent])
    ]
    close = [any({label, rival} <= group for group in CONFUSABLE) for rival in rivals]
    rival = rng.choices(rivals, weights=[5 if near else 1 for near in close])[0]
    if not quoted:
        return expand(rng.choice(bank.aside[rival]), rng, customer.fill)
    request = expand(min(rng.choices(bank.ask[rival], k=3), key=len), rng, customer.fill)
    return rng.choice(bank.frames[where]).format(ask=request.rstrip(".!").lower())


def _join(first: str, second: str) -> str:
    if first and not first.endswith((",", ":")):
        return f"{first} {second}"
    lowered = (
        second
        if second[:2] in ("I ", "I'") or second[:1].isupper() and second[1:2].isupper()
        else second[:1].lower() + second[1:]
    )
    return f"{first} {lowered}".strip() if first else second


@dataclass(frozen=True)
class Message:
    """What a customer wrote, and what it is about."""

    text: str
    label: str
    source: str
    ask: str
    """What is asked for, before the customer's voice and slips."""
    facts: dict[str, str]
    """Slot -> word of the ask; what is only mentioned in passing is not among them."""


def message(bank: Bank, label: str, customer: Customer, mix: Mix) -> Message:
    """One message. The label may change when the message can be read either way."""
    rng = customer.rng
    customer.said.clear()
    source = customer.source if rng.random() < 0.6 else weighted(rng, SOURCES)
    parts: list[str] = []
    pairs = [(labels, lines) for labels, lines in bank.either if label in labels]
    if pairs and rng.random() < mix.either:
        labels, lines = rng.choice(pairs)
        label = rng.choice(labels)
        ask = expand(rng.choice(lines), rng, customer.fill)
        facts = dict(customer.said)
        parts = [ask, voice.small_talk(customer)]
    else:
        ask = _ask(bank.ask[label], customer, rng)
        facts = dict(customer.said)
        wander = rng.random()
        talk = voice.small_talk(customer)
        if wander < mix.aside_before:
            parts = [_aside(bank, label, customer, rng, "before"), _join(rng.choice(BRIDGES), ask), talk]
        elif wander < mix.aside_before + mix.aside_after:
            parts = [ask, talk, _join(rng.choice(AFTERTHOUGHTS), _aside(bank, label, customer, rng, "after"))]
        else:
            parts = [talk, ask] if rng.random() < 0.4 else [ask, talk]
    if mix.order and "ord" not in facts and rng.random() < mix.order:
        parts.append(expand(rng.choice(ORDERS), rng, customer.fill))
        facts["ord"] = customer.said["ord"]
    body = " ".join(_stopped(part) for part in parts if part)
    whole = " ".join(
        part for part in (voice.opening(customer, source), body, _stopped(voice.closing(customer, source))) if part
    )
    return Message(voice.speak(whole, customer, source), label, source, ask, facts)


def _stopped(part: str) -> str:
    return part if not part or part[-1] in ".?!),:" else part + "."


def fresh(bank: Bank, label: str, customer: Customer, mix: Mix, seen: Seen, tries: int = 60) -> Message | None:
    """A message that is no near copy of an earlier one, or None when the customer has run out of ways to say it."""
    for _ in range(tries):
        made = message(bank, label, customer, mix)
        if len(made.text.split()) >= 2 and seen.admit(made.text):
            return made
    return None
