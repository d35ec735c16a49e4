-- Run once, when the folder of PostgreSQL is still empty.

-- A database for data to load, apart from the ledger.
\set password `cat /run/secrets/warehouse_password`
CREATE ROLE warehouse LOGIN PASSWORD :'password';
CREATE DATABASE warehouse OWNER warehouse;
REVOKE ALL ON DATABASE jobyard, warehouse FROM PUBLIC;

-- What a replica streams as. Its slot keeps the log that it still needs, up to max_slot_wal_keep_size.
\set password `cat /run/secrets/replica_password`
CREATE ROLE replica LOGIN REPLICATION PASSWORD :'password';
