"""The three waves of mail: what the shop had learned by June, plain July traffic, and August with new products."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from .compose import Bank, Mix, fresh
from .near import Seen
from .words import Customer

Row = dict[str, str]

WEIGHTS = {
    "track_order": 14, "late_delivery": 14, "wrong_item": 9, "damaged_item": 10, "return_item": 12, "refund_status": 12,
    "cancel_order": 11, "change_address": 9, "payment_failed": 10, "double_charge": 8, "invoice_request": 8, "promo_code": 9,
    "account_login": 10, "close_account": 7, "update_details": 8, "subscription_cancel": 10, "subscription_upgrade": 8,
    "warranty_claim": 9, "product_question": 11, "technical_help": 12, "complaint_staff": 8,
}  # fmt: skip
NEW_WEIGHTS = {"robot_mapping_problem": 11, "app_pairing": 11, "data_privacy_request": 9, "trade_in": 9}
MESSAGES_EACH = [25, 22, 20, 13, 9, 6, 3, 2]


@dataclass(frozen=True)
class Wave:
    """How many rows, from which customers, between which days."""

    name: str
    prefix: str
    rows: int
    first_customer: int
    start: datetime
    end: datetime
    goods: tuple[str, ...]
    extras: tuple[str, ...]
    banks: tuple[tuple[Bank, dict[str, float]], ...]
    mix: Mix = Mix()


def generate(wave: Wave, seed: int, seen: Seen) -> list[Row]:
    """Customers arrive one by one, each with their own seeded stream, until the wave has its rows."""
    rows: list[Row] = []
    number = wave.first_customer
    while len(rows) < wave.rows:
        rng = random.Random(f"{seed}/{wave.name}/{number}")
        customer = Customer.draw(number, rng, list(wave.goods), list(wave.extras))
        wanted = rng.choices(range(1, 9), weights=MESSAGES_EACH)[0]
        for _ in range(min(wanted, wave.rows - len(rows))):
            row = _row(wave, customer, seen)
            if row is not None:
                rows.append(row)
        number += 1
    rows.sort(key=lambda row: (row["timestamp"], row["group"], row["text"]))
    return [{"id": f"{wave.prefix}{place:05d}", **row} for place, row in enumerate(rows, start=1)]


def _row(wave: Wave, customer: Customer, seen: Seen) -> Row | None:
    rng = customer.rng
    choices = [(bank, label, weight) for bank, weights in wave.banks for label, weight in weights.items()]
    bank, label, _ = rng.choices(choices, weights=[weight for *_, weight in choices])[0]
    made = fresh(bank, label, customer, wave.mix, seen)
    if made is None:
        return None
    return {
        "text": made.text,
        "label": made.label,
        "group": customer.id,
        "timestamp": moment(wave.start, wave.end, rng),
        "source": made.source,
    }


def moment(start: datetime, end: datetime, rng: random.Random) -> str:
    """When a message came: any day of the stretch, mostly in the afternoon."""
    drawn = start + timedelta(seconds=rng.randrange(int((end - start).total_seconds())))
    return drawn.replace(hour=min(23, max(0, int(rng.gauss(14, 4))))).strftime("%Y-%m-%dT%H:%M:%SZ")


def day(year: int, month: int, number: int) -> datetime:
    return datetime(year, month, number, tzinfo=UTC)
