"""The types of Falcon that the room's signatures name."""

from typing import Any

import falcon

Request = falcon.Request
Response = falcon.Response
App = falcon.App[Request, Response]
Params = dict[str, Any]
