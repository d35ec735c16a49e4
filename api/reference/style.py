"""How the page looks, and the policy that lets a browser take this style and nothing else."""

import base64
import hashlib
from pathlib import Path

CSS = Path(__file__).with_name("style.css").read_text()

_DIGEST = base64.b64encode(hashlib.sha256(CSS.encode()).digest()).decode()

# Content Security Policy Level 3: the one style by its hash, no script, no frame, nothing from elsewhere.
POLICY = (
    f"default-src 'none'; style-src 'sha256-{_DIGEST}'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'"
)
