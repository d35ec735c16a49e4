"""The kinds: one file is one kind, and its path is its name: `web/fetch.py` is `web.fetch`.

A kind says what a job means, in terms of the contract and its ports. Vendors, Celery and the ledger must
not be reached from here.
"""
