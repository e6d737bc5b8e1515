"""Alembic's entry: migrate over the connection that `ftcore.ledger.database` hands in, inside its transaction."""

from __future__ import annotations

from alembic import context

from ftcore.ledger.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,  # SQLite can, once BEGIN is ours: a killed migration leaves the old schema
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
