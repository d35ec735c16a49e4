"""Where Prometheus finds the metrics of a running platform: targets for its file-based discovery.

https://prometheus.io/docs/prometheus/latest/configuration/configuration/#file_sd_config
"""

from urllib.parse import urlsplit

import msgspec

from ops.supervisor.roles import reachable
from ops.supervisor.status import ProcessStatus, Status


class Target(msgspec.Struct, frozen=True):
    """One process; its labels are those that the alert rules ask for."""

    targets: tuple[str]
    labels: dict[str, str]


def targets(status: Status, metrics_host: str) -> list[Target]:
    """One for each process that has metrics.

    Args:
        status: of the platform.
        metrics_host: that workers and beat listen on; the API's metrics are where the API is.
    """
    hosts = {"api": urlsplit(status.urls.api).hostname or ""}
    return [
        _target(process, hosts.get(process.role) or reachable(metrics_host))
        for process in status.processes
        if process.metrics_port is not None
    ]


def _target(process: ProcessStatus, host: str) -> Target:
    address = f"[{host}]" if ":" in host else host
    return Target((f"{address}:{process.metrics_port}",), {"job": process.role, "name": process.name})
