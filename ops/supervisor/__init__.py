"""Keeps the processes of one platform alive on one machine, and ends them in good order.

It knows processes, not jobs: what a role does must not live here, nor what the commands print.
"""

from ops.embedded.lock import AlreadyRunningError
from ops.supervisor.roles import Role, role_table
from ops.supervisor.status import Addresses, ProcessState, ProcessStatus, Record, Status, read_status
from ops.supervisor.supervisor import Supervisor, SupervisorError

__all__ = [
    "Addresses",
    "AlreadyRunningError",
    "ProcessState",
    "ProcessStatus",
    "Record",
    "Role",
    "Status",
    "Supervisor",
    "SupervisorError",
    "read_status",
    "role_table",
]
