"""The ledger: the truth about every job, in PostgreSQL.

Tables, engines, migrations, and one function for each transition of a job's state. Functions take a
connection of an open transaction; who opens it decides what commits together. Nothing here knows of
brokers, handlers or HTTP.
"""
