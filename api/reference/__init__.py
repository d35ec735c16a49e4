"""The page at `/docs`: the OpenAPI document for people, as HTML without a script.

A page made once from a document that does not change needs no viewer in JavaScript (ops/decisions/0016).
"""

from api.reference.page import html
from api.reference.style import POLICY

__all__ = ["POLICY", "html"]
