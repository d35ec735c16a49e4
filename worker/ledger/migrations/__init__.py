"""Alembic's migrations of the ledger: frozen SQL, oldest first; what was released is never edited."""
