"""Running Jobyard: the embedded servers, the supervisor, and what operators hold in their hands.

Nothing outside this package imports it. Rules about jobs, their states and their kinds live in `worker`.
"""

import sys

if sys.platform == "win32":
    raise SystemExit("jobyard does not run on Windows itself: use `docker compose up` there")
