"""Data sources: reading them for reports, loading files into them, running named statements on them.

Everything here speaks PostgreSQL through SQLAlchemy and psycopg2. What a report looks like must not live
here.
"""

from worker.adapters.sql.sources import Sources

__all__ = ["Sources"]
