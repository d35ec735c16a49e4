"""`/openapi.json`: the API described for machines, without a key."""

from collections.abc import Mapping
from typing import Any

from api.answers import answer, revalidate
from api.applications import Request, Response


class Description:
    """The OpenAPI document.

    Args:
        document: made once, for neither routes nor kinds change while a process runs.
    """

    public = True

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document

    def on_get(self, req: Request, resp: Response) -> None:
        """Send it."""
        answer(resp, 200, self._document)
        revalidate(req, resp)

    on_head = on_get
