"""The ledger: the authority on what is in production, and the record of how it came there."""

from ftcore.ledger.chain import Event
from ftcore.ledger.heads import Head, promotion_id
from ftcore.ledger.ledger import GATE_DECISION, GATE_RULES, HOLDOUT_SCORED, Ledger, open_ledger
from ftcore.ledger.outbox import Alert
from ftcore.ledger.verification import ChainReport

__all__ = [
    "Alert",
    "ChainReport",
    "Event",
    "GATE_DECISION",
    "GATE_RULES",
    "HOLDOUT_SCORED",
    "Head",
    "Ledger",
    "open_ledger",
    "promotion_id",
]
