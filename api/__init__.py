"""The HTTP API: authenticate, validate, enqueue, read. Thin and synchronous.

No work is done here and no vendor that does work is imported; nothing here decides what becomes of a job
(`worker.ledger` does), nor when (`schedules` does).
"""
