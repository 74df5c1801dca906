"""The history of the database, one for SQLite and PostgreSQL: `models/<number>_<time>_<name>.py`.

A new one: `aerich migrate --offline --name NAME` once with QUEUEQL_DATABASE_URL of SQLite and once of PostgreSQL
writes the SQL of each; keep one file whose `upgrade` chooses by `db.capabilities.dialect` (see the first one).
Additive changes only, with `db_default`. An index on a large table: CONCURRENTLY for PostgreSQL, in a file of
its own with RUN_IN_TRANSACTION = False.
"""
