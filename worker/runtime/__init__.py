"""Running jobs: the Celery app, the one base task, claims and outcomes, leases, signals, shutdown.

The word *task* lives here and nowhere else. Kinds and what they need of the world are handed in; this room
knows neither a particular kind nor a vendor.
"""
