"""Champions of a spec as a stack, built from the ledger's events: a promotion pushes, a rollback pops."""

from __future__ import annotations

from dataclasses import dataclass, field

from ftcore.ledger import Event, Ledger
from ftcore.records import Promotion, Withdrawal


@dataclass
class Champions:
    """The stack after all events so far."""

    stack: list[Promotion] = field(default_factory=list)
    """The current champion is the last. Rolling back twice goes back two, never forward to a model just withdrawn."""
    withdrawn: dict[str, Withdrawal] = field(default_factory=dict)
    """Models that a rollback took out of production and nobody has put back since, by digest."""

    def follow(self, item: Promotion, event: Event) -> None:
        """One committed promotion or rollback."""
        digests = [entry.model_digest for entry in self.stack]
        if event.payload["intent"] == "rollback" and item.model_digest in digests:
            keep = digests.index(item.model_digest) + 1
            for popped in digests[keep:]:
                self.withdrawn[popped] = Withdrawal(
                    model_digest=popped, seq=event.seq, actor=event.actor, reason=str(event.payload["reason"])
                )
            del self.stack[keep:]
        else:
            self.stack.append(item)
        self.withdrawn.pop(item.model_digest, None)


def champions(ledger: Ledger, spec: str) -> Champions:
    """All that were champion of `spec`, and which of them were withdrawn."""
    by_seq = {item.seq: item for item in ledger.history(spec)}
    state = Champions()
    for event in ledger.events(spec, kinds=("promotion_committed",)):
        state.follow(by_seq[event.seq], event)
    return state
