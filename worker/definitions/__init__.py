"""What operators declare in files: data sources, statements, reports and templates.

Jobs name a definition and give it parameters; what it does is the operator's to say. Reading and checking
the files happens here. Connecting to a source, or rendering anything, must not.
"""

from worker.definitions.faults import DefinitionError, Fault
from worker.definitions.folder import SECTIONS, SHIPPED, Definitions, load
from worker.definitions.parameter import Parameter, ParameterError, bind
from worker.definitions.report import Chart, Column, Report, ReportTable
from worker.definitions.schema import schema
from worker.definitions.source import LEDGER, LoadTable, Source
from worker.definitions.statement import Statement
from worker.definitions.template import Template

__all__ = [
    "LEDGER",
    "SECTIONS",
    "SHIPPED",
    "Chart",
    "Column",
    "DefinitionError",
    "Definitions",
    "Fault",
    "LoadTable",
    "Parameter",
    "ParameterError",
    "Report",
    "ReportTable",
    "Source",
    "Statement",
    "Template",
    "bind",
    "load",
    "schema",
]
