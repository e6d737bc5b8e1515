"""The shop's reply to a message: takes up what the customer said, states the policy, asks for what is missing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ..compose import CONFUSABLE, Message
from ..grammar import capitalise, fill_slots, fitting, heard
from ..words import Customer

HERE = Path(__file__).parent
POLICIES: dict[str, dict[str, Any]] = yaml.safe_load((HERE / "policies.yaml").read_text(encoding="utf-8"))
TONE: dict[str, Any] = yaml.safe_load((HERE / "tone.yaml").read_text(encoding="utf-8"))
_ANGER = re.compile(r"!!|unacceptable|ridiculous|a joke|zero stars|unbelievable|had it with|not impressed", re.I)


@dataclass(frozen=True)
class Parts:
    """A reply before it is put together; an empty part is left out."""

    greeting: str
    sorry: str
    ack: str
    policy: str
    request: str
    close: str

    def __str__(self) -> str:
        body = " ".join(part for part in (self.sorry, self.ack, self.policy, self.request) if part)
        return f"{self.greeting} {body} {self.close}".strip()


def reply(message: Message, customer: Customer) -> Parts:
    """The reply of a well-trained agent. It follows from the message alone: the same case and facts, the same words."""
    policy = POLICIES[message.label]
    facts = known_facts(message, customer)
    missing = policy.get("need") if policy.get("need") not in facts else None
    angry = message.text.isupper() or _ANGER.search(message.text) is not None
    return Parts(
        greeting=_say(TONE["greeting"], facts),
        sorry=TONE["sorry"] if policy.get("sorry") else TONE["calm"] if angry else "",
        ack=_say(policy["ack"], {slot: word for slot, word in facts.items() if slot != "customer"}),
        policy=case_of(message)["say"],
        request=TONE["need"][missing] if missing else "",
        close=TONE["close"],
    )


def known_facts(message: Message, customer: Customer) -> dict[str, str]:
    """Slot -> word, of what the customer asked about and a reader can see in the text as it was sent."""
    facts = heard(message.facts, message.text)
    number = re.search(r"\d{5}", facts.pop("ord", ""))
    if number:
        facts["order"] = f"order {number.group()}"
    if not re.search(r"[^\d.]", facts.get("amt", "")):  # a bare number could be anything
        facts.pop("amt", None)
    signed = re.search(rf"\b{customer.name}\b", message.text, re.I)
    if signed and message.facts.get("name") != customer.name:
        facts["customer"] = customer.name
    return facts


def case_of(message: Message) -> dict[str, str]:
    """The first case of the intent's policy that fits what was asked; the last one fits always."""
    cases: list[dict[str, str]] = POLICIES[message.label]["cases"]
    return next(case for case in cases if "when" not in case or re.search(case["when"], message.ask, re.I))


def mistaken_for(label: str) -> list[str]:
    """Intents with a policy that are easily taken for this one, by name; all others where there is none."""
    near = {other for group in CONFUSABLE if label in group for other in group}
    return sorted(near & set(POLICIES) - {label}) or sorted(set(POLICIES) - {label})


def _say(lines: str, facts: dict[str, str]) -> str:
    """The first of the lines that say most of what is known, with its slots filled."""
    return capitalise(fill_slots(fitting(lines.strip().splitlines(), facts)[0], facts.__getitem__))
