-- A database for data to load, apart from the ledger; run once, when the folder of PostgreSQL is still empty.
\getenv password JOBYARD_WAREHOUSE_PASSWORD
CREATE ROLE warehouse LOGIN PASSWORD :'password';
CREATE DATABASE warehouse OWNER warehouse;
REVOKE ALL ON DATABASE jobyard, warehouse FROM PUBLIC;
