"""Scopes: what the key of a request may do. Which scope an operation needs says `api.operations`."""

from collections.abc import Mapping

from api.acting import scope_missing
from api.applications import Params, Request, Response
from api.operation import Operation
from api.operations import Route
from worker.ledger.clients import Client


class Authorization:
    """Lets an operation pass whose scope the key has; behind `Authentication`.

    Args:
        operations: every operation there is; one that is missing here is refused to all.
    """

    def __init__(self, operations: Mapping[Route, Operation]) -> None:
        self._operations = operations

    def process_resource(self, req: Request, _resp: Response, resource: object, _params: Params) -> None:
        """Compare the scopes.

        Raises:
            Problem: 403, with the scope that is missing.
        """
        method = "get" if req.method == "HEAD" else req.method.lower()
        if getattr(resource, "public", False) or not hasattr(resource, f"on_{method}"):
            return  # the second is a 405, or an OPTIONS that Falcon answers
        needed = self._operations[req.uri_template or "", method].scope
        client: Client = req.context.client
        if needed is None or not client.scopes.allow(needed):
            raise scope_missing(needed, client)
