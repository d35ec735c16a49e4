"""What happens around every request: its id, its line in the log, its key.

What concerns one resource only must not live here.
"""
