"""Alembic's environment: runs on the connection that `worker.ledger.migrate` hands over."""

from alembic import context

from worker.ledger.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transaction_per_migration=False,
)
with context.begin_transaction():
    context.run_migrations()
