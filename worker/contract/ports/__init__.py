"""The ports: what handlers ask of the outside world, and what an adapter must do."""

from worker.contract.ports.upkeep import Pruned, Pruner
from worker.contract.ports.web import Fetched, Fetcher, FetchRequest

__all__ = ["FetchRequest", "Fetched", "Fetcher", "Pruned", "Pruner"]
