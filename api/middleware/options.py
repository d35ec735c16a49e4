"""`Allow` in the answer to an OPTIONS: with OPTIONS in it, as a 405 has it (RFC 9110, section 10.2.1)."""

from api.applications import Request, Response


class Options:
    """Adds what Falcon leaves out."""

    def process_response(
        self,
        req: Request,
        resp: Response,
        _resource: object,
        req_succeeded: bool,  # noqa: FBT001 - Falcon's
    ) -> None:
        """Tell of the method that was just used."""
        if req.method == "OPTIONS" and req_succeeded:
            resp.append_header("Allow", "OPTIONS")
