"""Alembic's migrations of the ledger: frozen SQL, oldest first; what was released is never edited.

Two versions of the platform run side by side during an update: the ledger is migrated first, then one process
after the other is replaced. So a migration only adds (expand): what the version before reads and writes stays
as it is, and a new column is nullable or has a default. What nothing uses any more is taken away by a later
migration (contract), which names in `unused_since` the revision since which that is so: an earlier one than
its own predecessor, so that no version that still uses it can be running.
"""
