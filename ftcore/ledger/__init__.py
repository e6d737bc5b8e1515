"""The ledger: the authority on what is in production, and the record of how it came there."""

from ftcore.ledger.chain import Event
from ftcore.ledger.heads import Head, promotion_id
from ftcore.ledger.ledger import Ledger, open_ledger
from ftcore.ledger.outbox import Alert
from ftcore.ledger.verification import ChainReport

__all__ = ["Alert", "ChainReport", "Event", "Head", "Ledger", "open_ledger", "promotion_id"]
