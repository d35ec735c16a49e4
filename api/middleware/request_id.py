"""The request's id: in the log lines of its handling, in its answer, and with the job it submits."""

import re

from loguru import logger

from api.applications import Request, Response
from worker.ledger.ids import new_id

_HEADER = "X-Request-Id"
_SANE = re.compile(r"[A-Za-z0-9._~:/+=@-]{1,128}")  # nothing that a log or a terminal could be fooled by


class RequestId:
    """Takes the id that the client or a proxy gave, where it is sane, or makes one."""

    def process_request(self, req: Request, _resp: Response) -> None:
        """Find the id and give it to every log line from here on."""
        given = req.get_header(_HEADER) or ""
        request_id = given if _SANE.fullmatch(given) else str(new_id())
        req.context.request_id = request_id
        req.context.log_scope = logger.contextualize(request_id=request_id)
        req.context.log_scope.__enter__()

    def process_response(
        self,
        req: Request,
        resp: Response,
        _resource: object,
        _req_succeeded: bool,  # noqa: FBT001 - Falcon's
    ) -> None:
        """Give the id back."""
        resp.set_header(_HEADER, req.context.request_id)
        req.context.log_scope.__exit__(None, None, None)
