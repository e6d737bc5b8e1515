"""First schema: events, heads, promotions, fences, retrain requests, data versions, alerts and receipts."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_REFUSE = "events are append-only"


def upgrade() -> None:
    _events_and_champions()
    _requests_and_data()
    _alerts()
    _forbid_changes_of_events()


def _events_and_champions() -> None:
    op.create_table(
        "events",
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("spec", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("at", sa.Text, nullable=False),
        sa.Column("payload", sa.Text, nullable=False),
        sa.Column("payload_digest", sa.Text, nullable=False),
        sa.Column("previous_hash", sa.Text, nullable=False),
        sa.Column("hash", sa.Text, nullable=False, unique=True),
    )
    op.create_index("events_by_spec", "events", ["spec", "kind", "seq"])
    op.create_table(
        "promotions",
        sa.Column("promotion_id", sa.Text, primary_key=True),
        sa.Column("spec", sa.Text, nullable=False),
        sa.Column("intent", sa.Text, sa.CheckConstraint("intent IN ('promotion', 'rollback')"), nullable=False),
        sa.Column("model_digest", sa.Text, nullable=False),
        sa.Column("verdict_digest", sa.Text, nullable=False),
        sa.Column("expected_digest", sa.Text),
        sa.Column("expected_seq", sa.Integer, nullable=False),
        sa.Column("package_uri", sa.Text, nullable=False),
        sa.Column("fence", sa.Integer, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("seq", sa.Integer, sa.ForeignKey("events.seq"), nullable=False),
        sa.Column("mlflow_version", sa.Text),
        sa.CheckConstraint("state IN ('PREPARED', 'COMMITTED', 'APPLIED', 'ABORTED')", name="promotions_state"),
    )
    op.create_index("promotions_by_spec", "promotions", ["spec", "state", "seq"])
    op.create_table(
        "heads",
        sa.Column("spec", sa.Text, primary_key=True),
        sa.Column("seq", sa.Integer, sa.ForeignKey("events.seq"), nullable=False),
        sa.Column("model_digest", sa.Text, nullable=False),
        sa.Column("package_uri", sa.Text, nullable=False),
        sa.Column("promotion_id", sa.Text, sa.ForeignKey("promotions.promotion_id"), nullable=False),
        sa.Column("verdict_digest", sa.Text, nullable=False),
        sa.Column("fence", sa.Integer, nullable=False),
        sa.Column("since", sa.Text, nullable=False),
    )
    op.create_table(
        "fences",
        sa.Column("spec", sa.Text, primary_key=True),
        sa.Column("issued", sa.Integer, nullable=False),
        sa.Column("seen", sa.Integer, nullable=False),
        sa.CheckConstraint("seen <= issued", name="fences_seen"),
    )


def _requests_and_data() -> None:
    op.create_table(
        "retrain_requests",
        sa.Column("request_id", sa.Text, primary_key=True),
        sa.Column("spec", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("dedupe_key", sa.Text, nullable=False, unique=True),
        sa.Column("opened_at", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("data", sa.Text),
        sa.Column("note", sa.Text, nullable=False, server_default=""),
        sa.Column("closed_at", sa.Text),
        sa.CheckConstraint("state IN ('OPEN', 'DONE', 'CLOSED')", name="retrain_requests_state"),
    )
    is_open = sa.text("state = 'OPEN'")
    op.create_index(
        "one_open_request", "retrain_requests", ["spec"], unique=True, sqlite_where=is_open, postgresql_where=is_open
    )
    op.create_table(
        "data_versions",
        sa.Column("seq", sa.Integer, sa.ForeignKey("events.seq"), primary_key=True, autoincrement=False),
        sa.Column("spec", sa.Text, nullable=False),
        sa.Column("ref", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("num_rows", sa.Integer, nullable=False),
        sa.Column("at", sa.Text, nullable=False),
    )
    op.create_index("data_versions_by_spec", "data_versions", ["spec", "seq"])


def _alerts() -> None:
    op.create_table(
        "alerts",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("spec", sa.Text, nullable=False),
        sa.Column("severity", sa.Text, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("dedupe_key", sa.Text, nullable=False, unique=True),
        sa.Column("links", sa.Text, nullable=False),
        sa.Column("created_at", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("last_error", sa.Text, nullable=False, server_default=""),
        sa.Column("tried_at", sa.Text),
        sa.Column("done_at", sa.Text),
    )
    op.create_index("alerts_pending", "alerts", ["done_at", "id"])
    op.create_table(
        "alert_receipts",
        sa.Column("alert_id", sa.Integer, sa.ForeignKey("alerts.id"), primary_key=True),
        sa.Column("channel", sa.Text, primary_key=True),
        sa.Column("at", sa.Text, nullable=False),
    )


def _forbid_changes_of_events() -> None:
    """A slip of the hand is refused by the database itself; a determined change shows in the chain."""
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            body = f"BEGIN SELECT RAISE(ABORT, '{_REFUSE}'); END"
            op.execute(f"CREATE TRIGGER events_no_{verb.lower()} BEFORE {verb} ON events {body}")
        return
    op.execute(
        "CREATE FUNCTION ftcore_refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{_REFUSE}'; END $$"
    )
    op.execute(
        "CREATE TRIGGER events_append_only BEFORE UPDATE OR DELETE ON events "
        "FOR EACH ROW EXECUTE FUNCTION ftcore_refuse_change()"
    )
