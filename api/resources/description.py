"""`/openapi.json` and `/docs`: the API described, for machines and for people, without a key."""

from collections.abc import Mapping
from typing import Any

import falcon

from api import reference
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


class Reference:
    """The same as a page.

    Args:
        document: as above.
    """

    public = True

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._page = reference.html(document)

    def on_get(self, req: Request, resp: Response) -> None:
        """Send it."""
        resp.content_type = falcon.MEDIA_HTML
        resp.data = self._page
        resp.set_header("Content-Security-Policy", reference.POLICY)
        resp.set_header("X-Content-Type-Options", "nosniff")
        revalidate(req, resp)

    on_head = on_get
