"""Reports: what the operator defined, read from its source and written as PDF, XLSX, CSV or HTML.

The vendors that draw, set and write are imported here alone, and not before a report needs them: most
worker processes never do. How a source is reached must not live here.
"""

from worker.adapters.report.reports import DefinedReports

__all__ = ["DefinedReports"]
