# ruff: noqa: N999 - gunicorn's own name for its configuration
"""How gunicorn serves the API. Run it as `python -m gunicorn --config api/gunicorn.conf.py`.

Each value stands here with its reason; what an operator may want to change is a setting.
"""

import math
import os
import resource
import shutil
import tempfile
from pathlib import Path
from typing import Any

from worker import logs
from worker.settings import Settings

_METRICS = "PROMETHEUS_MULTIPROC_DIR"  # prometheus-client's; it must be set before its first import
_OURS = "jobyard-api-metrics-"  # how a folder begins that was made here, perhaps before a reload (SIGHUP)
if _METRICS not in os.environ:
    os.environ[_METRICS] = tempfile.mkdtemp(prefix=_OURS)

from api import metrics  # noqa: E402 - see above

_settings = Settings.from_environment(os.environ)
logs.set_up(_settings, "api")  # for the lines of the master; each process does it again for its own

# A factory: it is called in each process, after the fork.
wsgi_app = "api.wsgi:app()"

_host = f"[{_settings.api_host}]" if ":" in _settings.api_host else _settings.api_host
bind = f"{_host}:{_settings.api_port}"

# Greenlets, for thousands of clients may wait at once (`Prefer: wait`), and a thread each would cost
# megabytes; `api.serving` adds a quick stop, problem documents and a limit to silence.
worker_class = "api.serving.Worker"

# A process uses one core. Two by default, so that one serves while the other restarts.
workers = _settings.api_workers

# Connections of one process, those that wait included; what is beyond stays in the kernel's queue.
worker_connections = 10_000

# The master kills a process whose loop has not turned for so long: no request blocks it, so it hangs.
timeout = 30

# From SIGTERM to SIGKILL. What is in flight may finish: an upload, say. Those who wait for a job are answered
# at once. The supervisor, and what else stops this process, must give it longer.
graceful_timeout = 30 + math.ceil(_settings.api_drain_delay)

# Longer than the pause between two looks of a polling client (Retry-After: 1), and short, for a
# stopping process waits for idle connections that long. A proxy in front should close its own sooner.
keepalive = 5

# A slow leak of ours or of a library must not grow for ever. The restart costs a second or two of a
# core, so it is rare; the jitter keeps the processes from restarting together.
max_requests = 500_000
max_requests_jitter = 50_000

# Memory, so that the heartbeat of a process never waits for a disk (gunicorn FAQ, "blocking os.fchmod").
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - the FAQ's own advice

# No preloading: modules that were loaded before gevent patched them hold native locks, on which a
# greenlet would stop its whole process.
preload_app = False

# Ours are short: an API key, an Idempotency-Key, a Prefer. The rest is for proxies and cookies.
limit_request_line = 4094
limit_request_fields = 64
limit_request_field_size = 8190

# Nothing here depends on who a proxy says is asking, so no forwarding header is believed.
forwarded_allow_ips = ""

# One line for each request is written by `api.middleware.observation`; gunicorn's would show query strings.
accesslog = None
logger_class = "api.serving.Log"
loglevel = _settings.log_level.lower()

# The control socket (gunicorn 25.1) would be one more way in, and a file outside of JOBYARD_HOME.
control_socket_disable = True


def on_starting(_server: Any) -> None:
    """Allow as many connections as the system does, and begin with empty metrics."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    for leftover in Path(os.environ[_METRICS]).glob("*.db"):
        leftover.unlink()


def when_ready(server: Any) -> None:
    """Serve the metrics of all processes from this one."""
    port = metrics.serve(_settings.api_host, _settings.api_metrics_port)
    server.log.info("metrics at http://%s:%d/metrics", _host, port)


def child_exit(_server: Any, worker: Any) -> None:
    """Drop the gauges of a process that ended."""
    metrics.forget(worker.pid)


def on_exit(_server: Any) -> None:
    """Leave no folder behind that was made here."""
    folder = Path(os.environ[_METRICS])
    if folder.name.startswith(_OURS):
        shutil.rmtree(folder, ignore_errors=True)
