"""What is wrong with a platform, and what to do about it: a module for each thing that is looked at.

Looking changes nothing: no job is submitted, no mail sent, no table made. What is found is printed by
`ops.cli.diagnosis`.
"""

from collections.abc import Iterator

from ops.doctor.broker import examine_broker
from ops.doctor.definitions import examine_definitions
from ops.doctor.environment import examine_environment
from ops.doctor.finding import Finding
from ops.doctor.ledger import examine_ledger
from ops.doctor.mail import examine_mail
from ops.doctor.schedules import examine_schedules
from worker.settings import Settings

__all__ = ["Finding", "examine"]


def examine(settings: Settings) -> Iterator[Finding]:
    """Look at everything but the processes of this machine."""
    yield from examine_environment()
    yield from examine_ledger(settings)
    yield from examine_broker(settings)
    yield from examine_schedules(settings)
    yield from examine_definitions(settings)
    yield from examine_mail(settings)
