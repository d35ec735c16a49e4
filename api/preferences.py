"""`Prefer: wait=N` (RFC 7240): how long a client would like its answer held back."""

import re

from api.applications import Request, Response

# The parts between commas; a quoted string may hold commas of its own, and one that nothing ends goes on to
# the end. No quantifier gives back what it took, so a header is read once, whatever is in it.
_PART = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*+(?:"|\\?\Z))++', re.DOTALL)
_WAIT = re.compile(r'\s*wait\s*=\s*"?(\d{1,9})"?\s*(?:;.*)?', re.IGNORECASE | re.DOTALL)

_LONGEST = 1000  # characters; nobody prefers so much


def preferred_wait(req: Request, longest: float) -> int:
    """Seconds that the client prefers to wait, at most `longest`; 0 where it says none.

    A preference is never an error: what makes no sense is passed over, and of two the first counts.
    """
    header = req.get_header("Prefer")
    if header is None or len(header) > _LONGEST:
        return 0
    for part in _PART.findall(header):
        if asked := _WAIT.fullmatch(part):
            return min(int(asked[1]), int(longest))
    return 0


def applied(resp: Response, seconds: int) -> None:
    """Say for how long the answer was held back at most."""
    resp.set_header("Preference-Applied", f"wait={seconds}")
