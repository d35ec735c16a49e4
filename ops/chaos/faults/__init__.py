"""The faults of a chaos run, each a generator that strikes, yields what it harmed, and mends.

They know the rig and nothing of jobs: what is right for a job is the checker's to say.
"""

from types import MappingProxyType

from ops.chaos.faults import broker, ledger, messages, processes, rabbitmq, valkey
from ops.chaos.faults.fault import Fault, Harm, Lane, Missed

FAULTS = MappingProxyType(
    {
        found.name: found
        for module in (processes, broker, valkey, rabbitmq, messages, ledger)
        for found in vars(module).values()
        if isinstance(found, Fault)
    }
)

__all__ = ["FAULTS", "Fault", "Harm", "Lane", "Missed"]
