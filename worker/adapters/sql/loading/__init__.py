"""Loading files into tables: reading records, writing them by COPY, and saying why some were rejected.

What a job is, and that it takes effect once, is known one room above (`markers`), and must not live here.
"""

from worker.adapters.sql.loading.loader import SqlLoader

__all__ = ["SqlLoader"]
