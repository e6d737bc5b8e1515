"""`ftcore gate show|approve SPEC`: the rules that decide a promotion, as the ledger has them."""

from __future__ import annotations

from typing import Annotated

import typer

from ftcore.cli._output import JsonFlag, SetOption, SpecArgument, print_json, print_line
from ftcore.spec import load_spec

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Show what decides a promotion; put other rules in force."
)


@app.command()
def show(spec: SpecArgument, overrides: SetOption = None, json: JsonFlag = False) -> None:
    """The rules in force, who put them there and why, what differs in the spec, how often each holdout was looked at, and what
    reviewers found."""
    from ftcore.ledger import GATE_DECISION, open_ledger
    from ftcore.pipeline.reviews import recorded_reviews
    from ftcore.pipeline.rules import rule_changes, rules_in_force

    loaded = load_spec(spec, overrides or ())
    with open_ledger() as ledger:
        known = rules_in_force(ledger, loaded.name)
        differing = rule_changes(loaded, known) if known else []
        decisions = ledger.events(loaded.name, (GATE_DECISION,))
        reviews = recorded_reviews(loaded.name, ledger)
    if json:
        keys = ("candidate", "champion", "outcome", "look", "test_digest", "verdict")
        print_json({
            "spec": loaded.name,
            "in_force": {**known.payload, "at": known.at, "actor": known.actor} if known else None,
            "differs": differing,
            "decisions": [
                {"at": event.at, **{key: event.payload[key] for key in keys},
                 "reviews": reviews.get(event.payload["verdict"], [])}
                for event in decisions
            ],
        })  # fmt: skip
        return
    if known is None:
        print_line(f"{loaded.name} has no rules on record yet: its first training puts the spec's in force.")
    else:
        print_line(
            f"rules {known.payload['digest'][:12]} since {known.at}, by {known.actor}: {known.payload['because']}"
        )
        print_line(
            "the spec has the same" if not differing else "the spec differs (ftcore gate approve puts it in force):"
        )
        for line in differing:
            print_line(f"  {line}")
    for event in decisions:
        seen = event.payload
        print_line(
            f"{event.at}  look {seen['look']} of at most {loaded.gate.max_decisions} on holdout {seen['test_digest'][:12]}: "
            f"{seen['candidate'][:12]} {seen['outcome']}"
        )
        for line in reviews.get(seen["verdict"], ()):
            print_line(f"  {line}")


@app.command()
def approve(
    spec: SpecArgument,
    because: Annotated[str, typer.Option(help="Why other rules; kept in the ledger.")],
    overrides: SetOption = None,
    actor: Annotated[str | None, typer.Option(help="Who approves; default: the user.")] = None,
    json: JsonFlag = False,
) -> None:
    """Put the spec's rules in force: an event of its own. Verdicts before it stay; judging anew is one more look."""
    from ftcore.evaluation.gate.rules import rules_digest
    from ftcore.ledger import open_ledger
    from ftcore.pipeline.rules import approve_rules
    from ftcore.stages.promote import actor as current_actor

    loaded = load_spec(spec, overrides or ())
    with open_ledger() as ledger:
        changed = approve_rules(loaded, ledger, actor or current_actor(), because)
    digest = rules_digest(loaded)
    if json:
        print_json({"spec": loaded.name, "digest": digest, "changed": changed})
    else:
        state = "in force now" if changed else "in force already"
        print_line(f"{loaded.name}: rules {digest[:12]} are {state}.")
