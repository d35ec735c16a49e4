"""Everything that is driven by time: schedules, dispatch, rescue and reconciliation.

It runs as Celery's beat, in any number of replicas at once; the ledger sees to it that none doubles
anything. Handlers, adapters and HTTP must not live here.
"""
