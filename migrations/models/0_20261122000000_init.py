from tortoise import BaseDBAsyncClient

RUN_IN_TRANSACTION = True

# Not in aerich's picture of the models: partial indexes (a query must repeat their condition literally) and first rows.
ADDED = """
CREATE INDEX IF NOT EXISTS "idx_job_state" ON "job" ("state", "id") WHERE state <> 'COMPLETED';
CREATE INDEX IF NOT EXISTS "idx_job_flow" ON "job" ("queue", "task", "state", "id") WHERE state <> 'COMPLETED';
CREATE INDEX IF NOT EXISTS "idx_job_unfinished" ON "job" ("id")
    WHERE state IN ('BLOCKED', 'SCHEDULED', 'QUEUED', 'ACTIVE', 'RETRYING');
CREATE INDEX IF NOT EXISTS "idx_job_owner" ON "job" ("owner", "id") WHERE owner IS NOT NULL;
CREATE INDEX IF NOT EXISTS "idx_job_unrecorded" ON "job" ("updated_ms") WHERE version = 0;
INSERT INTO "epoch" ("id", "number", "run_id") VALUES (1, 0, '') ON CONFLICT DO NOTHING;
INSERT INTO "recorder" ("id", "position") VALUES (1, '0-0-0-0') ON CONFLICT DO NOTHING;
"""

UPGRADE = {
    "sqlite": """
CREATE TABLE IF NOT EXISTS "attempt" (
    "id" INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    "job_id" VARCHAR(128) NOT NULL,
    "run" INT NOT NULL,
    "number" INT NOT NULL,
    "state" VARCHAR(32) NOT NULL,
    "worker" TEXT,
    "started_ms" BIGINT NOT NULL,
    "finished_ms" BIGINT,
    "error" TEXT,
    CONSTRAINT "uid_attempt_job_id_efe7d9" UNIQUE ("job_id", "run", "number")
) /* One run of a task; `error` is JSON of Failure. */;
CREATE TABLE IF NOT EXISTS "epoch" (
    "id" SMALLINT NOT NULL PRIMARY KEY,
    "number" BIGINT NOT NULL,
    "run_id" TEXT NOT NULL DEFAULT ''
) /* Which Redis the store trusts: a number that grows, and the run_id of the server. */;
CREATE TABLE IF NOT EXISTS "job" (
    "id" VARCHAR(128) NOT NULL PRIMARY KEY,
    "task" VARCHAR(255) NOT NULL,
    "queue" VARCHAR(255) NOT NULL,
    "state" VARCHAR(32) NOT NULL,
    "priority" SMALLINT NOT NULL,
    "args" JSON NOT NULL,
    "run" INT NOT NULL DEFAULT 1,
    "version" BIGINT NOT NULL DEFAULT 0,
    "attempts" INT NOT NULL DEFAULT 0,
    "attempt_base" INT NOT NULL DEFAULT 0,
    "uncharged" INT NOT NULL DEFAULT 0,
    "max_attempts" INT NOT NULL,
    "crashes" INT NOT NULL DEFAULT 0,
    "recoveries" INT NOT NULL DEFAULT 0,
    "backoff" TEXT NOT NULL,
    "timeout_s" REAL NOT NULL,
    "durability" VARCHAR(32) NOT NULL,
    "owner" TEXT,
    "tags" TEXT NOT NULL DEFAULT '[]',
    "metadata" JSON NOT NULL,
    "key" TEXT,
    "idempotency_key" TEXT,
    "retry_of" VARCHAR(128),
    "progress" TEXT,
    "progress_ms" BIGINT NOT NULL DEFAULT 0,
    "result" TEXT,
    "reason" VARCHAR(64),
    "error" TEXT,
    "worker" TEXT,
    "cancel_requested" INT NOT NULL DEFAULT 0,
    "created_ms" BIGINT NOT NULL,
    "updated_ms" BIGINT NOT NULL,
    "scheduled_ms" BIGINT,
    "due_ms" BIGINT,
    "started_ms" BIGINT,
    "finished_ms" BIGINT
) /* A job as it was accepted, and as the recorder last folded its events. */;
CREATE INDEX IF NOT EXISTS "idx_job_queue_fda951" ON "job" ("queue", "id");
CREATE INDEX IF NOT EXISTS "idx_job_task_7fcb9e" ON "job" ("task", "id");
CREATE TABLE IF NOT EXISTS "job_key" (
    "hash" VARCHAR(64) NOT NULL PRIMARY KEY,
    "kind" VARCHAR(32) NOT NULL,
    "scope" VARCHAR(255) NOT NULL,
    "job_id" VARCHAR(128) NOT NULL,
    "args_hash" VARCHAR(64) NOT NULL DEFAULT '',
    "expires_ms" BIGINT
) /* Who holds a key: `kind` is `unique` or `idempotency`, `scope` the task. */;
CREATE TABLE IF NOT EXISTS "job_tag" (
    "id" INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    "tag" VARCHAR(255) NOT NULL,
    "job_id" VARCHAR(128) NOT NULL,
    CONSTRAINT "uid_job_tag_tag_57b54d" UNIQUE ("tag", "job_id")
) /* One tag of a job, to find jobs by. */;
CREATE TABLE IF NOT EXISTS "log_line" (
    "id" INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    "job_id" VARCHAR(128) NOT NULL,
    "run" INT NOT NULL,
    "attempt" INT NOT NULL,
    "at_ms" BIGINT NOT NULL,
    "level" SMALLINT NOT NULL,
    "message" TEXT NOT NULL,
    "context" TEXT,
    "stack" TEXT
) /* One line; `context` is a JSON object. */;
CREATE INDEX IF NOT EXISTS "idx_log_line_job_id_6b6ecd" ON "log_line" ("job_id", "id");
CREATE TABLE IF NOT EXISTS "queue" (
    "name" VARCHAR(255) NOT NULL PRIMARY KEY,
    "durability" VARCHAR(32) NOT NULL,
    "created_ms" BIGINT NOT NULL
) /* A queue that has been used. */;
CREATE TABLE IF NOT EXISTS "recorder" (
    "id" SMALLINT NOT NULL PRIMARY KEY,
    "position" TEXT NOT NULL
) /* Up to where the events are recorded, as text of Position. */;
CREATE TABLE IF NOT EXISTS "task" (
    "name" VARCHAR(255) NOT NULL PRIMARY KEY,
    "hash" VARCHAR(64) NOT NULL,
    "definition" TEXT NOT NULL,
    "published_ms" BIGINT NOT NULL
) /* What a worker last published of a task; `definition` is JSON of TaskDefinition, `hash` its own. */;
CREATE TABLE IF NOT EXISTS "token" (
    "id" VARCHAR(64) NOT NULL PRIMARY KEY,
    "kind" VARCHAR(32) NOT NULL,
    "name" TEXT NOT NULL,
    "role" VARCHAR(32) NOT NULL,
    "secret_sha256" VARCHAR(64) NOT NULL UNIQUE,
    "created_ms" BIGINT NOT NULL,
    "expires_ms" BIGINT,
    "last_used_ms" BIGINT,
    "revoked_ms" BIGINT
) /* A secret that opens the API (`kind` API or SESSION), or a code that is exchanged for one (CODE). */;
CREATE TABLE IF NOT EXISTS "aerich" (
    "id" INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    "version" VARCHAR(255) NOT NULL,
    "app" VARCHAR(100) NOT NULL,
    "content" JSON NOT NULL
);
""",
    "postgres": """
CREATE TABLE IF NOT EXISTS "attempt" (
    "id" BIGSERIAL NOT NULL PRIMARY KEY,
    "job_id" VARCHAR(128) NOT NULL,
    "run" INT NOT NULL,
    "number" INT NOT NULL,
    "state" VARCHAR(32) NOT NULL,
    "worker" TEXT,
    "started_ms" BIGINT NOT NULL,
    "finished_ms" BIGINT,
    "error" TEXT,
    CONSTRAINT "uid_attempt_job_id_efe7d9" UNIQUE ("job_id", "run", "number")
);
COMMENT ON TABLE "attempt" IS 'One run of a task; `error` is JSON of Failure.';
CREATE TABLE IF NOT EXISTS "epoch" (
    "id" SMALLINT NOT NULL PRIMARY KEY,
    "number" BIGINT NOT NULL,
    "run_id" TEXT NOT NULL DEFAULT ''
);
COMMENT ON TABLE "epoch" IS 'Which Redis the store trusts: a number that grows, and the run_id of the server.';
CREATE TABLE IF NOT EXISTS "job" (
    "id" VARCHAR(128) NOT NULL PRIMARY KEY,
    "task" VARCHAR(255) NOT NULL,
    "queue" VARCHAR(255) NOT NULL,
    "state" VARCHAR(32) NOT NULL,
    "priority" SMALLINT NOT NULL,
    "args" JSONB NOT NULL,
    "run" INT NOT NULL DEFAULT 1,
    "version" BIGINT NOT NULL DEFAULT 0,
    "attempts" INT NOT NULL DEFAULT 0,
    "attempt_base" INT NOT NULL DEFAULT 0,
    "uncharged" INT NOT NULL DEFAULT 0,
    "max_attempts" INT NOT NULL,
    "crashes" INT NOT NULL DEFAULT 0,
    "recoveries" INT NOT NULL DEFAULT 0,
    "backoff" TEXT NOT NULL,
    "timeout_s" DOUBLE PRECISION NOT NULL,
    "durability" VARCHAR(32) NOT NULL,
    "owner" TEXT,
    "tags" TEXT NOT NULL DEFAULT '[]',
    "metadata" JSONB NOT NULL,
    "key" TEXT,
    "idempotency_key" TEXT,
    "retry_of" VARCHAR(128),
    "progress" TEXT,
    "progress_ms" BIGINT NOT NULL DEFAULT 0,
    "result" TEXT,
    "reason" VARCHAR(64),
    "error" TEXT,
    "worker" TEXT,
    "cancel_requested" BOOL NOT NULL DEFAULT False,
    "created_ms" BIGINT NOT NULL,
    "updated_ms" BIGINT NOT NULL,
    "scheduled_ms" BIGINT,
    "due_ms" BIGINT,
    "started_ms" BIGINT,
    "finished_ms" BIGINT
);
CREATE INDEX IF NOT EXISTS "idx_job_queue_fda951" ON "job" ("queue", "id");
CREATE INDEX IF NOT EXISTS "idx_job_task_7fcb9e" ON "job" ("task", "id");
COMMENT ON TABLE "job" IS 'A job as it was accepted, and as the recorder last folded its events.';
CREATE TABLE IF NOT EXISTS "job_key" (
    "hash" VARCHAR(64) NOT NULL PRIMARY KEY,
    "kind" VARCHAR(32) NOT NULL,
    "scope" VARCHAR(255) NOT NULL,
    "job_id" VARCHAR(128) NOT NULL,
    "args_hash" VARCHAR(64) NOT NULL DEFAULT '',
    "expires_ms" BIGINT
);
COMMENT ON TABLE "job_key" IS 'Who holds a key: `kind` is `unique` or `idempotency`, `scope` the task.';
CREATE TABLE IF NOT EXISTS "job_tag" (
    "id" BIGSERIAL NOT NULL PRIMARY KEY,
    "tag" VARCHAR(255) NOT NULL,
    "job_id" VARCHAR(128) NOT NULL,
    CONSTRAINT "uid_job_tag_tag_57b54d" UNIQUE ("tag", "job_id")
);
COMMENT ON TABLE "job_tag" IS 'One tag of a job, to find jobs by.';
CREATE TABLE IF NOT EXISTS "log_line" (
    "id" BIGSERIAL NOT NULL PRIMARY KEY,
    "job_id" VARCHAR(128) NOT NULL,
    "run" INT NOT NULL,
    "attempt" INT NOT NULL,
    "at_ms" BIGINT NOT NULL,
    "level" SMALLINT NOT NULL,
    "message" TEXT NOT NULL,
    "context" TEXT,
    "stack" TEXT
);
CREATE INDEX IF NOT EXISTS "idx_log_line_job_id_6b6ecd" ON "log_line" ("job_id", "id");
COMMENT ON TABLE "log_line" IS 'One line; `context` is a JSON object.';
CREATE TABLE IF NOT EXISTS "queue" (
    "name" VARCHAR(255) NOT NULL PRIMARY KEY,
    "durability" VARCHAR(32) NOT NULL,
    "created_ms" BIGINT NOT NULL
);
COMMENT ON TABLE "queue" IS 'A queue that has been used.';
CREATE TABLE IF NOT EXISTS "recorder" (
    "id" SMALLINT NOT NULL PRIMARY KEY,
    "position" TEXT NOT NULL
);
COMMENT ON TABLE "recorder" IS 'Up to where the events are recorded, as text of Position.';
CREATE TABLE IF NOT EXISTS "task" (
    "name" VARCHAR(255) NOT NULL PRIMARY KEY,
    "hash" VARCHAR(64) NOT NULL,
    "definition" TEXT NOT NULL,
    "published_ms" BIGINT NOT NULL
);
COMMENT ON TABLE "task" IS 'What a worker last published of a task; `definition` is JSON of TaskDefinition, `hash` its own.';
CREATE TABLE IF NOT EXISTS "token" (
    "id" VARCHAR(64) NOT NULL PRIMARY KEY,
    "kind" VARCHAR(32) NOT NULL,
    "name" TEXT NOT NULL,
    "role" VARCHAR(32) NOT NULL,
    "secret_sha256" VARCHAR(64) NOT NULL UNIQUE,
    "created_ms" BIGINT NOT NULL,
    "expires_ms" BIGINT,
    "last_used_ms" BIGINT,
    "revoked_ms" BIGINT
);
COMMENT ON TABLE "token" IS 'A secret that opens the API (`kind` API or SESSION), or a code that is exchanged for one (CODE).';
CREATE TABLE IF NOT EXISTS "aerich" (
    "id" SERIAL NOT NULL PRIMARY KEY,
    "version" VARCHAR(255) NOT NULL,
    "app" VARCHAR(100) NOT NULL,
    "content" JSONB NOT NULL
);
""",
}

DOWNGRADE = "\n".join(
    f'DROP TABLE IF EXISTS "{table}";'
    for table in (
        "attempt", "epoch", "job", "job_key", "job_tag", "log_line", "queue", "recorder", "task", "token", "aerich"
    )
)


async def upgrade(db: BaseDBAsyncClient) -> str:
    return UPGRADE[db.capabilities.dialect] + ADDED


async def downgrade(db: BaseDBAsyncClient) -> str:
    return DOWNGRADE


MODELS_STATE = (
    "eJztXVtz27YS/isYPdkzasaRr02fZMdp3Tp2aittZ5wMBZGQxJgiWACK7enJfz8L8C6BEi"
    "nrYtF4iSNiP5D6drnYxWX1X2NEHeLxN20hyCgQjXfov4aPRwT+M9nURA0cBGmDvCBwz1Oy"
    "OCPU44JhW/bVxx4ncMkh3GZuIFzqS+FrnyA29hHtI4wE5ve/oC5hjLIucjn6/fb6SjZ9wK"
    "43ZuSN7NOhNnTq+oPF4GPf/XdMLEEHRAwJg07u7hrfaM9yHdkMnck//njUg8avX+H/ru+Q"
    "R8KlpPwY3Ft9l3hOjp8QrK5b4ilQ107dwYUvPihZ+dw9y6beeOSn8sGTGFI/Abi+Im1AfM"
    "KwIPIOgo2JehzPi+iNeQy/RyoSPmUG45A+HnuSeokOHyC91rCsq+uOdXvesazGlFpiRIbq"
    "6JJNfalSeFSuCBjIR/jp51Zrf/+4tbd/dHJ4cHx8eLJ3ArLqeaebjn+ED5OyFXalOLv49e"
    "KqIx+Igt2E9iQv/FAYLHCIUspI2U/Vl9fA2RAzPf8pYkIH8OUmdRAzPksJ8YVUC6m9r0MN"
    "I/xoecQfiCF8fNs6mUHxX+2bs9/aNzsgtZsn+ipqaoVtkvOU4+jFyBNcaN+R9HwD3wZyQx"
    "tvvT04PjjZPzpITDu5MsuiY+tNmYx8S3kyU4DhU8MnF/Ddq7z8CaCG7/5+q8Srv98qfPNl"
    "U57eB8rudebaIY8F9poiFiI4Gr9eCr8z+Oyc/6PGqhHn/3pZHnc+tv9RFI+eopbL66tfY/"
    "EM72eX16fT5syAG2vEq4UUeVydPMVaootUAX3Xd/lwAQ1MABdSwQsz/s1oQEXwVTxOAjAO"
    "p5zDkYlM/z4TTMsLPWzfP2DmWFMttEWLZKebRq3R5BXs44EiUn5j+f2ifPI8oPawoUk0w4"
    "bmrDSTJCJzk8y/h649RDfEgZwQkj7EBWVEqp0L/g4SxzDAgiYs0IDRB95E2HeUKASykCjI"
    "JFIBCftO2HQauoobaBLV52SjtyPsec/OR8sMGi8hId1vHR8lLkp+mOWUbj+2Ly/nZ5lFcf"
    "usIaGeofuah4PwFakyHqSIDYf4ZhgoMwz8Tnu6QUBenjkEfIsE5g4AbQSiCHPkCvQAf7Bt"
    "kwDUH7phHDptRmzKHHDTHuYC9annEAcAHJHvBHQy7fWX0usX/4t/RR5AAMaOBzlADCPkgB"
    "EwUYZ2wJqbCIYFDt9m9w3qQFs0CiAKl5HKZ+H2MOQEkAO42FMPAJfhX9eXnX3x+y6D+4/c"
    "Adg99FNyiLlrgMBYJcvwPkHjXUPOssafK41AxQn5Ml/VzY4+q5qHKx6VYnWU5TqWr+HcR+"
    "vwsATfIFXIt2rLDz6J/ZclOAEYhssxbObvVjp/FzCXMlc8VU0Jsrg6Ba+LpwYpp5gNNHND"
    "crlRz2UsP8Gj49oC/Q95Lt9GPmfQJpmYHaBOxqKSHMoFxDw87mByYnQLV6DePttal7ZKEs"
    "WP1dLXDGizRO49m8g156zRJgiNlygkOwvZdraXZrYRKVYPc02MMI/LBGb4jPgc+zbEVTIL"
    "L09mDmOYjCcpIGxb4C2fhNUptFoatzbDfEiq0JpBGAuNAyZiy/khtxKReZDhMuJSTnTSfr"
    "/KJHQGUotEdd0bIYQ7InQsLI31fvAoLmA9h5rgvS9h9WL+/fXn08tz9Onm/Ozi9iLKumKu"
    "w0Z5CS64QnFwc96+nCDaGTPccz3tHEHxLEweVQsLX/VUDH3wq+2kSgBmX8MC/gPrJmmKyY"
    "7lN2zKd1+3iOMREVguTVSZDMtizITYMybE7onGYRfbdyRuXEl1M3cdyNeoIL79ZFVkXQM1"
    "GqiuAUYEe7KoJgAvjlCymDpwvoZTHgGj0uNUGjezmDrQvG7TjvmrvN94Arjtufq6d5URLp"
    "+8gqGnCGPmi3hwzHXrT7P8d4yoA9957310UMJ5Hx0U+m7ZZDbNb86azamo9fJtY98mnsUI"
    "fHsudMtXp5R6BPsFywMa+IQaeoBf54Cp36q6DAWcXl9f5hRwejHJ8OePp+cQHO7m5wZ1Cz"
    "FyD2r1o1B5XJ3WuNYcpYwDZyEF5HFGAQsrgNtD4oy9RQ5kTiDNecBFdeCMSWX2U4zhfWHb"
    "39xRZMP/O3MSeTMaeDmHov4gTw39uag/wpnkmUej4unmMudjKRpSeCiEEYDeoe49aFmVUO"
    "qG+u8iylA3M5fdbaIut2kALfKskjxVojsWu5R+5RGp7hDzoULe/tb+qXV4JE/Myt6aSIk3"
    "kVorRTuZvnbVMSi48S+oK3dgW2Ef6hRudN4WLo9HyemuZxy5lV1XmduI5Wt36GlZExvFJ5"
    "6k1qtQHcubLQoltiiol6kKuwmghvSu5LiTKVa2+mWsxNtXoTkH2t5z4yufZ34MXEaqr1bl"
    "cSYk3c6QtIMHBSGpbJkbkopIqFRdUBAOC3sCsokERZDWOPIDR70nfS3Q+RBt/c/osSJHa6"
    "p+vhjDnxUHRkor694j8RoOoSZM2aIw5YW48ks6uHR9ovPlcdNMZ+7RgeXFUqW8uZSGRBxY"
    "FuRRqFQeRxWae9+ILfQOvRSqTB2T1DorFy4xLn1dLt04HVPIeeU2vuyzyRXYzCAMo1pGK6"
    "eVCaROhK55nckj34k3Tfvs+jAJqE7EL6M4zIhwDkHXNJ/Fe8MykFoMY2vfHRaGh1Uoz0DM"
    "fryFqpTbmrpzxXwnAMP2VtXm/FOVs9OkiX/Gde6Kk8SkFF6ZCp1KOFyclRUwe4T4aMyJo6"
    "u7OVP2Gau46u+UURdnH7F87VZxlzilVJztmXPna1rUNbt4X++azU1Uf1jnwpO2mV6cZaXm"
    "OvLPgVx2eQDHS9QOm7DMsSpOHHUk6yNzJIMvuVTziXI3KUicc/PP6slUz39h1fODSDtVYs"
    "YsphaO/hXFjR1ZZ1rjczpR/elifxNXqC6zbxECQIzCk1VhgfVg3PPU1tfcT0KCIl1fmVLu"
    "dyHls7xPmpoo3mQIXoY+aDzSGu5ngtctCV43u+Fz01HUivcYpe9PleEij6oF0WuvRRC7s+"
    "rFCCaQJlvYxmyhQ++Jrx22VcPscTsRKTHbwwkklyLaix8QP/zJk/anC7QTHRKQ/6cM3Z7f"
    "yrp2u035ASMb7huiYFwlj/YQ+/BFUB8aqU/Qztn1+/Nd3ZTR6m+45JTj1f1cijk5sNWTTP"
    "rws3i0Xm74+crGaUa9SrF+LF8Lsld+BkYNFRYf4tbhURWWp4DGR88N9c3c9KZ/bNec59js"
    "5hvMhSUXLytrYBJpdLCoDhj5DslLdQ3kcYb/Lcx424S5+t+gjlqas3JenMrMS3qLVbDkxP"
    "G17FV/5q7T4jSx8KeyiiO/4h/KqkOIvZIDRvKlqsBwJF5Ddt/u7ZXZ5b+3V7zLX7ZpdkT6"
    "mh2RxXXZMxBTlr1iWfaNDmY//g8ba2qx"
)
