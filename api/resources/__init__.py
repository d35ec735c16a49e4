"""The resources: one class per URL, given its stores by its constructor.

Rules of jobs must not live here: a resource reads the request, calls the ledger, and words the answer.
"""
