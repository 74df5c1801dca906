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
    id      TEXT PRIMARY KEY,
    since   TEXT,              -- users that changed at this time or later are read; NULL: all
    phase   TEXT NOT NULL,     -- CHANGED, FAILED_BEFORE, FINISHED
    cursor  TEXT,              -- the API's cursor behind the last committed batch
    newest  TEXT NOT NULL,     -- time of the newest change met; the next incremental sync starts there
    met     INTEGER NOT NULL,  -- users met so far, of total
    total   INTEGER NOT NULL,
    synced  INTEGER NOT NULL,
    skipped INTEGER NOT NULL,
    batches INTEGER NOT NULL,
    seconds REAL NOT NULL
) STRICT;
