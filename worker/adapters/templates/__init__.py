"""The operator's templates of mails, behind the port `Templates`: Jinja in its sandbox.

Templates are written by operators and filled with what clients send. The sandbox keeps both from code and
files; its limits catch mistakes that a job's values can drive far. They bound no filter: an operator who
takes a width or a count from a job gives that parameter a `max`. Sending must not live here.
"""

from worker.adapters.templates.rendering import JinjaTemplates
from worker.adapters.templates.syntax import check

__all__ = ["JinjaTemplates", "check"]
