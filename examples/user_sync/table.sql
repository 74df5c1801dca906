CREATE TABLE IF NOT EXISTS user (
    id          TEXT PRIMARY KEY,
    name        TEXT NOT NULL,
    email       TEXT NOT NULL,
    department  TEXT NOT NULL,
    active      INTEGER NOT NULL,
    updated_at  TEXT NOT NULL,
    last_synced TEXT NOT NULL
) STRICT;

-- Users that could not be read when they were last met. A row goes when its user can be read again.
CREATE TABLE IF NOT EXISTS user_error (
    user_id   TEXT PRIMARY KEY,
    code      TEXT NOT NULL,
    message   TEXT NOT NULL,
    sync_id   TEXT NOT NULL,
    failed_at TEXT NOT NULL
) STRICT;

-- One row per sync: where it stands, so that its next attempt goes on from there.
CREATE TABLE IF NOT EXISTS sync (
    id       TEXT PRIMARY KEY,
    since    TEXT,              -- users that changed at this time or later are read; NULL: all
    newest   TEXT NOT NULL,     -- time of the newest change met; the next incremental sync starts there
    batch    INTEGER NOT NULL,  -- number of the last batch that was written
    after    TEXT NOT NULL,     -- QueueQL's chunk.after of that batch
    finished INTEGER NOT NULL
) STRICT;
