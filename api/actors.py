"""Who acts, as the history of a job names them."""

from worker.ledger.clients import Client


def actor(client: Client) -> str:
    """A client that acts on its own jobs."""
    return f"client {client.name}"
