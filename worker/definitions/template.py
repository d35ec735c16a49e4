"""Templates of mails: `templates/NAME/template.toml`, with subject.txt, body.txt and body.html beside it."""

from typing import Annotated

import msgspec
from msgspec import Meta

from worker.definitions.parameter import Parameter

SUBJECT, TEXT, HTML = "subject.txt", "body.txt", "body.html"


class Template(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A named template: Jinja, sandboxed."""

    description: Annotated[str, Meta(description="What the mail is, for those who submit jobs.")] = ""
    parameters: Annotated[dict[str, Parameter], Meta(description="What a job gives by name.")] = {}
