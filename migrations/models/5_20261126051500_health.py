from tortoise import BaseDBAsyncClient

RUN_IN_TRANSACTION = True

# Not in aerich's picture of the models: partial indexes (a query must repeat their condition literally).
ADDED = """
ALTER TABLE "job" ADD "cancel_run" INT;
ALTER TABLE "attempt" ADD "cpu_us" BIGINT;
CREATE INDEX IF NOT EXISTS "idx_job_cancelling" ON "job" ("id")
    WHERE cancel_run IS NOT NULL AND state IN ('BLOCKED', 'SCHEDULED', 'QUEUED', 'ACTIVE', 'RETRYING');
CREATE INDEX IF NOT EXISTS "idx_job_finished" ON "job" ("queue", "state", "finished_ms") WHERE finished_ms IS NOT NULL;
"""

UPGRADE = {
    "sqlite": """
CREATE TABLE IF NOT EXISTS "backup" (
    "id" VARCHAR(128) NOT NULL PRIMARY KEY,
    "path" TEXT NOT NULL,
    "size_bytes" BIGINT NOT NULL,
    "created_ms" BIGINT NOT NULL,
    "counts" TEXT NOT NULL,
    "verified_ms" BIGINT,
    "fault" TEXT
) /* A backup that was made, and whether it could be restored. */;
CREATE TABLE IF NOT EXISTS "leader" (
    "name" VARCHAR(64) NOT NULL PRIMARY KEY,
    "holder" TEXT NOT NULL,
    "until_ms" BIGINT NOT NULL
) /* Who leads a loop, and until when unless it says so again. */;
CREATE TABLE IF NOT EXISTS "retention_policy" (
    "id" INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    "queue" VARCHAR(255) NOT NULL,
    "kind" VARCHAR(32) NOT NULL,
    "keep_s" BIGINT,
    "keep_count" BIGINT,
    "every_s" BIGINT NOT NULL,
    "updated_ms" BIGINT NOT NULL,
    "ran_ms" BIGINT,
    "removed" BIGINT NOT NULL DEFAULT 0,
    "removed_total" BIGINT NOT NULL DEFAULT 0,
    CONSTRAINT "uid_retention_p_queue_e76daa" UNIQUE ("queue", "kind")
) /* What is kept of one kind of record; `queue` is empty where it is for those queues that have none of their own. */;
CREATE TABLE IF NOT EXISTS "rollup" (
    "id" INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    "span_s" INT NOT NULL,
    "at_ms" BIGINT NOT NULL,
    "queue" VARCHAR(255) NOT NULL,
    "task" VARCHAR(255) NOT NULL,
    "accepted" BIGINT NOT NULL DEFAULT 0,
    "started" BIGINT NOT NULL DEFAULT 0,
    "completed" BIGINT NOT NULL DEFAULT 0,
    "failed" BIGINT NOT NULL DEFAULT 0,
    "dead" BIGINT NOT NULL DEFAULT 0,
    "cancelled" BIGINT NOT NULL DEFAULT 0,
    "lost" BIGINT NOT NULL DEFAULT 0,
    "snoozed" BIGINT NOT NULL DEFAULT 0,
    "released" BIGINT NOT NULL DEFAULT 0,
    "entered_blocked" BIGINT NOT NULL DEFAULT 0,
    "entered_scheduled" BIGINT NOT NULL DEFAULT 0,
    "entered_queued" BIGINT NOT NULL DEFAULT 0,
    "entered_active" BIGINT NOT NULL DEFAULT 0,
    "entered_retrying" BIGINT NOT NULL DEFAULT 0,
    "wait_ms" BIGINT NOT NULL DEFAULT 0,
    "run_ms" BIGINT NOT NULL DEFAULT 0,
    "cpu_us" BIGINT NOT NULL DEFAULT 0,
    "cpu_known" BIGINT NOT NULL DEFAULT 0,
    "waits" TEXT NOT NULL DEFAULT '',
    "runs" TEXT NOT NULL DEFAULT '',
    CONSTRAINT "uid_rollup_span_s_588b93" UNIQUE ("span_s", "queue", "task", "at_ms")
) /* What happened in one queue to the jobs of one task, in the `span_s` seconds from `at_ms` on. */;
CREATE INDEX IF NOT EXISTS "idx_rollup_span_s_1002b0" ON "rollup" ("span_s", "at_ms");
CREATE TABLE IF NOT EXISTS "slow_query" (
    "fingerprint" VARCHAR(64) NOT NULL PRIMARY KEY,
    "sql" TEXT NOT NULL,
    "count" BIGINT NOT NULL,
    "total_ms" REAL NOT NULL,
    "worst_ms" REAL NOT NULL,
    "worst_at_ms" BIGINT NOT NULL,
    "last_at_ms" BIGINT NOT NULL,
    "process" TEXT NOT NULL
) /* A statement that took longer than the threshold at least once; `fingerprint` is SHA-256 of it. */;
CREATE TABLE IF NOT EXISTS "system_health_snapshots" (
    "id" INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    "slot_ms" BIGINT NOT NULL UNIQUE,
    "at_ms" BIGINT NOT NULL,
    "took_ms" BIGINT NOT NULL,
    "queues" TEXT,
    "workers" TEXT,
    "database" TEXT,
    "redis" TEXT,
    "notifications" TEXT,
    "recorder" TEXT,
    "processes" TEXT,
    "errors" TEXT,
    "error_count" BIGINT,
    "faults" TEXT NOT NULL DEFAULT '{}'
) /* The whole system at one moment. Sections are JSON, null where their collector failed. */;
CREATE INDEX IF NOT EXISTS "idx_system_heal_at_ms_df60cd" ON "system_health_snapshots" ("at_ms");
""",
    "postgres": """
CREATE TABLE IF NOT EXISTS "backup" (
    "id" VARCHAR(128) NOT NULL PRIMARY KEY,
    "path" TEXT NOT NULL,
    "size_bytes" BIGINT NOT NULL,
    "created_ms" BIGINT NOT NULL,
    "counts" TEXT NOT NULL,
    "verified_ms" BIGINT,
    "fault" TEXT
);
COMMENT ON TABLE "backup" IS 'A backup that was made, and whether it could be restored.';
CREATE TABLE IF NOT EXISTS "leader" (
    "name" VARCHAR(64) NOT NULL PRIMARY KEY,
    "holder" TEXT NOT NULL,
    "until_ms" BIGINT NOT NULL
);
COMMENT ON TABLE "leader" IS 'Who leads a loop, and until when unless it says so again.';
CREATE TABLE IF NOT EXISTS "retention_policy" (
    "id" BIGSERIAL NOT NULL PRIMARY KEY,
    "queue" VARCHAR(255) NOT NULL,
    "kind" VARCHAR(32) NOT NULL,
    "keep_s" BIGINT,
    "keep_count" BIGINT,
    "every_s" BIGINT NOT NULL,
    "updated_ms" BIGINT NOT NULL,
    "ran_ms" BIGINT,
    "removed" BIGINT NOT NULL DEFAULT 0,
    "removed_total" BIGINT NOT NULL DEFAULT 0,
    CONSTRAINT "uid_retention_p_queue_e76daa" UNIQUE ("queue", "kind")
);
COMMENT ON TABLE "retention_policy" IS 'What is kept of one kind of record; `queue` is empty where it is for those queues that have none of their own.';
CREATE TABLE IF NOT EXISTS "rollup" (
    "id" BIGSERIAL NOT NULL PRIMARY KEY,
    "span_s" INT NOT NULL,
    "at_ms" BIGINT NOT NULL,
    "queue" VARCHAR(255) NOT NULL,
    "task" VARCHAR(255) NOT NULL,
    "accepted" BIGINT NOT NULL DEFAULT 0,
    "started" BIGINT NOT NULL DEFAULT 0,
    "completed" BIGINT NOT NULL DEFAULT 0,
    "failed" BIGINT NOT NULL DEFAULT 0,
    "dead" BIGINT NOT NULL DEFAULT 0,
    "cancelled" BIGINT NOT NULL DEFAULT 0,
    "lost" BIGINT NOT NULL DEFAULT 0,
    "snoozed" BIGINT NOT NULL DEFAULT 0,
    "released" BIGINT NOT NULL DEFAULT 0,
    "entered_blocked" BIGINT NOT NULL DEFAULT 0,
    "entered_scheduled" BIGINT NOT NULL DEFAULT 0,
    "entered_queued" BIGINT NOT NULL DEFAULT 0,
    "entered_active" BIGINT NOT NULL DEFAULT 0,
    "entered_retrying" BIGINT NOT NULL DEFAULT 0,
    "wait_ms" BIGINT NOT NULL DEFAULT 0,
    "run_ms" BIGINT NOT NULL DEFAULT 0,
    "cpu_us" BIGINT NOT NULL DEFAULT 0,
    "cpu_known" BIGINT NOT NULL DEFAULT 0,
    "waits" TEXT NOT NULL DEFAULT '',
    "runs" TEXT NOT NULL DEFAULT '',
    CONSTRAINT "uid_rollup_span_s_588b93" UNIQUE ("span_s", "queue", "task", "at_ms")
);
CREATE INDEX IF NOT EXISTS "idx_rollup_span_s_1002b0" ON "rollup" ("span_s", "at_ms");
COMMENT ON TABLE "rollup" IS 'What happened in one queue to the jobs of one task, in the `span_s` seconds from `at_ms` on.';
CREATE TABLE IF NOT EXISTS "slow_query" (
    "fingerprint" VARCHAR(64) NOT NULL PRIMARY KEY,
    "sql" TEXT NOT NULL,
    "count" BIGINT NOT NULL,
    "total_ms" DOUBLE PRECISION NOT NULL,
    "worst_ms" DOUBLE PRECISION NOT NULL,
    "worst_at_ms" BIGINT NOT NULL,
    "last_at_ms" BIGINT NOT NULL,
    "process" TEXT NOT NULL
);
COMMENT ON TABLE "slow_query" IS 'A statement that took longer than the threshold at least once; `fingerprint` is SHA-256 of it.';
CREATE TABLE IF NOT EXISTS "system_health_snapshots" (
    "id" BIGSERIAL NOT NULL PRIMARY KEY,
    "slot_ms" BIGINT NOT NULL UNIQUE,
    "at_ms" BIGINT NOT NULL,
    "took_ms" BIGINT NOT NULL,
    "queues" TEXT,
    "workers" TEXT,
    "database" TEXT,
    "redis" TEXT,
    "notifications" TEXT,
    "recorder" TEXT,
    "processes" TEXT,
    "errors" TEXT,
    "error_count" BIGINT,
    "faults" TEXT NOT NULL DEFAULT '{}'
);
CREATE INDEX IF NOT EXISTS "idx_system_heal_at_ms_df60cd" ON "system_health_snapshots" ("at_ms");
COMMENT ON TABLE "system_health_snapshots" IS 'The whole system at one moment. Sections are JSON, null where their collector failed.';
""",
}


async def upgrade(db: BaseDBAsyncClient) -> str:
    return UPGRADE[db.capabilities.dialect] + ADDED


async def downgrade(db: BaseDBAsyncClient) -> str:
    return """
DROP INDEX IF EXISTS "idx_job_finished";
DROP INDEX IF EXISTS "idx_job_cancelling";
ALTER TABLE "attempt" DROP COLUMN "cpu_us";
ALTER TABLE "job" DROP COLUMN "cancel_run";
DROP TABLE IF EXISTS "rollup";
DROP TABLE IF EXISTS "system_health_snapshots";
DROP TABLE IF EXISTS "leader";
DROP TABLE IF EXISTS "slow_query";
DROP TABLE IF EXISTS "retention_policy";
DROP TABLE IF EXISTS "backup";"""


MODELS_STATE = (
    "eJztXVtz27YS/isYPSUzaiZxrid5shOndevaqe2c05kkQ0EkJKGiCAYAraht/vsBwLsM0g"
    "R1Z/DSxsR+JPUBXOwuFot/ejPiIZ89OuYczULeew3+6QVwhsQ/lpv6oAfDMG+QFzgc+koW"
    "FoSGjFPoynuNoM+QuOQh5lIcckwCKXwZIECjAJARgIBDNn0DBohSQgcAM/Dr9eWFbHoPsR"
    "9R9Eje0yOuuCkOxu3gUYC/RsjhZIz4BFFxk0+fen+RoYM92SxuJv8XRLOhaPzyRfwbBx76"
    "hpiUlH+GU2eEke+V+InB6rrDF6G6doLHZwF/r2Tlew8dl/jRLMjlwwWfkCAD4ECRNkYBop"
    "Aj+QROI6Rex/cTelMe49+Ri8RvWcB4aAQjX1Iv0fEL5Nd6jnNxeeNcn944Tu9Ot6SIAtXJ"
    "JZcEskvFqzJFwFi+wk//OTp6+vTl0eOnL149f/by5fNXj18JWfW+d5tefo9fJmcrvpXi7O"
    "zns4sb+UJEjJt4PMkL3xUGchijVGfk7OfdV+6BtxNI9fzniKU+ED9uuQ9Sxus6Ib2Q90I+"
    "3rfRDTP4zfFRMOYT8eeTo1c1FP/3+OrtL8dXD4TUwzLRF0nTUdwmOc85Tj6MMsGV4zuRvn"
    "+AHwK58Rg/evLs5bNXT188y4Z2dqVuRKejN2cy0S3NycwBlk8Nn4yL327y8WeADn77T48a"
    "fPpPjyq/fNlUpndO6FQ3XG/Qt4rxmiNaEZzMX/vCbw2fN6d/qrlqxthXv8jjg9+P/1QUzx"
    "ZJy/nlxc+peIH3t+eXJ3eHMxXcODNmZlKUcV3SFFuxLvIOGOEAs0mLHlgCtuqCPRv8u+kB"
    "ZcGbaJwMYBWOucJxw8iJDId6jrGj3GSUSwdyNC04MfLCELrTOaSec6eFHJEq2btNs6PZ8h"
    "UYwLGiU/5u+cKJH38i7hKFPY2Hn7T06xz8YS5zr39/DGJpwCeQgzlkYAY9IQcDD8wnygUH"
    "mAOXRL4HhsKZR4wTiry7rv5Kd9J4/au49tW25Tqdyt169ptyKavd+BCKZxlo/VS+E2b81s"
    "1M/DdyhguOTM3MEs6ama2NHJci2MbOL+NsB7TvABLJ5xsonBxhVU4LlXOLKBYPMx/yS0Br"
    "crZ2bdWPMBjxGcA6Vs3G+54Y+KchcSc9jX0fN9Sa9ygTude6/98EuxNwhTzMhFmOgLK4Zb"
    "czzl4DCOLIdWyxjymZs9hcl6I0ChzsydU5BURUfOR3jf5NPGDNvsD1DPr+ygt9++8PxArr"
    "6dHLF5mKkn/UKaXr34/Pz+9fvqtaEKmbErq5JrLl6SD+REzmgxyxYwvITgNNpoFfEPT55D"
    "qAIZsQbUbHkkTtxMAWjKOZM1EQhyUY1myquBFKeD4hvlDF6jZAaGwSIDAjMxTwR+AauVKU"
    "ASgUvEzc6KsfI0M7UuNPEKZAjENfiBEqHoJ9XZBoY0+5f9L41INcGqhfbJLIXiaJMJ9w80"
    "W1HNSdOXzLsww0px2ul/QfcnLnhEyNiS+ALPWtqRc/PdLFVavtqhxhHW3zwFKccGJEeAFi"
    "GTdnXM6yQ8g0aVfVlBcxlnNzzqmMghg5aynAsm3OdkA4HmEXKnfBhPU7QMt+m7HuEuqZpR"
    "0WMZZzc85DSlzEmJnhUgJZ1s1ZV6lrRpTnCMt3S74dtZJr5hotAe0i5EqLkEYjPkfsOOr8"
    "z/c9H+l7Enf+lQx7mmCzvNyvizD/lQg0SCsUogAymfEnUwGh66JQDIB4+Q/Gi4WpQQB8yD"
    "gYEd9DngAwgG6R6BNdiuEa7vo5+BxcoLnMRmRgLhcmJwlyrDJ3KHhAo6APboX7KX7Nw0dA"
    "Bq2TQDIg4jJQG1TiGHUIKcfQVy8gLov/4kDe7HMwwlQ8f4bHVJmajaPUKtQghbHXE42fen"
    "LbZPq3zYLceRZk2h1NuU7lO5GSVOb76PnzBnwLqUq+VZsmOGdCcAawDDdj2G7I2+iGvJBi"
    "QjFf3GW4PhWliOtScL99SkphjYqONRapXCCuWKBK5Jd49LDLwb/Ax+wQ+ayhTTJRb6Au26"
    "KSHMK4sHlYeoM7QZ7D21L+ZOXRurZtz4n9aObEFkC7JfLxykRufRVbVTXRaImaVewccuhs"
    "r23YJqQ4+tWj+7h0KhaQflw+o8AVdpX0wpuTWcJYJtMghTDbWnzly7AumVZr49alkE10Kw"
    "s125wyhB2hhVUxuRfGiMgyyHKZcCkDnWQ0MglDFyCdcFS3vfTC8QyRiDua0fveJ7AqJa2I"
    "WuJ9JGHdYv7d5ceT81Pw4er07dn1WeJ1pVzHjfKSuIC54uDq9Ph8OTsnonCIfW2MoDoKU0"
    "Z1YoRvOhRD5oFZjkIGsEu3LfQH1AVpqslO5Xc8lD99OSCOZ4hDuTRhEgwrYmxAbIWA2BRp"
    "FHb1+E7ErSoxH+bYE/4a4ShwF44h6xqo7YE2GX6cLhyiMcCrLZQipgucb6Fsa0iJ1DimOX"
    "0Zpgs07yCRUvFnvPtmCXjovvq267lMkDsNCdYl9tXUdCmh7HBvo8mZYVWRHGH5bsM3ZLp1"
    "v7p5M0V0ge/yrPniWYNJ88WzyjlTNtnqo7veu2dCty0vvVK1Vxi4yHcoEr+ecd2y4QkhPo"
    "JBxXSpgS91w1Dgt2mo6FOE19EBJ5eX56UOODlbZvjj7yenwih/WI7JaoyThDejlJcyqEM7"
    "Dta4rmiLKO7U6I5Cr1UHlHG2A1p3ABMOjBf5bQ4MWEJ2SL9suQ+8CBmzn2Ms763H/u6Oyr"
    "D8v7YnZeymB/Znj99vaNHTb/P7LV4Yqd3pl66eNCkzSsCEiJcCEAjQazCYil5WR/wN4v4f"
    "AELBoLA0M+iDAXNJKFrk1ju5SUpXXXQt95U7/gYTyCYKef3L8U9Hz1/IwqPybn2gxPtALf"
    "2DB4V7PVS7+sSD34CB3FDgxPdQxUyTsqXicjTLNiuuULlU3tokZJTKd24P37riRdUb+GSv"
    "m1CdytuMmwYZN+pjMmE3A3SQ3o3s3rOHaW5+VTbT9iY0l0CHW3534+H7byGmyHzxtYyzJu"
    "lhmqQ3cFxhksqWe01Sngg1OrdaCMcHTwtkH3AChFvjyT8YGC70Z1XfD9GeT528VqJo7anU"
    "ezPw6+zApNOaqvdEvINTqDVTDshM2RNVfo6gp7TfHVWetNSqcj+XaRRckPIyCOATEsbFfq"
    "KAY1UWPhD/9BFTNYEYXDDACIBj0Qv6cELrO63g26v/G3wIqbz17Y19exktMstWyBGd0Drb"
    "TldQX4/56mIBZdcWD9GUPyfjcxwg7QSQNNXPAGTs+KlUI2teSr8BA0E8Fx+zCuVCdUQIIM"
    "O/kMv1Bn0jVJOybLl1YlyHzZr02zLprdG5+djYAVYF2tPkqKQqhQGbBYRl1B5ls1s1nNPu"
    "o1vk36W9vtxdBuoS8euodTcTPqgwukycmAKkE9PY1pOuY/PQhPICxKa5tzjengs3xITvDG"
    "DZPqhS439EkELh7ut9xUJrv85d/FqWa+QwxoXAC+XCRyQKPOEMeniMmPAFOfL95Nhi8Vap"
    "vJKqCiGu8b5rPubYOpnbcjKtkbmbZGISUdcstShDdMIo2nTqFkWGxR66U2ltC+uhVbuC63"
    "Zhr7QreN843v42bDntmhGeIizhbc6cVOaPiQrJEXapU7vUuTc2PIoqzPfk6I06yz0VaXBo"
    "kBKOE+zloTxDJBflme4g+Xtk7Wr9Xk2D1ca0LYW5JevO7sT+cRfrr9KTVzUq/KpwKmu1Fi"
    "+e3Xq/Iv8YytTZuVC8SIVB4pPX1HlpyY3kkW0MyACqTLf9QBjOzkgrqfmV7rTmCEv9ckbT"
    "GMv+TwKrrmRUK/sw6R0To7yI6YSi/4Fiv1eIi89V8POB+NjV7kVdFrlHCyXCTphLN0ggFS"
    "YiZmCKQqUjSIDUzk/571iJvAEDZU2q9CC5wL5IVA5WwBGhQvkQhmKbk6VG5y0CgbxZvBcU"
    "U7mFVJd1uu3Ha7coZHa42s5otyjsjY1QpzDtWYibDsvZzcAb9DmmCIW60yTqFEiOsVv82i"
    "6VKA5bHKFexln+2/IvvBS6MB34BZD1sltTb+ud7bgDKAyMyc8xVue05h3NyK22XGgd8TnI"
    "FjNvQ7dwsjjUpL42ID2HWuoPJpBKfD8Ke7o4RtzSrw1f5DLNghYTcS8xCjyAAxU2SJa8iA"
    "qFqqIESTxBlrnqSynZMGCh0KdsABgS/eUxMKJkBgYqB2kAdFHWTT5MFt+6kZW48AzFgds4"
    "lpEU0IoDuo/AQPwPUfFVDED8pcSy6rkq3uHKVDox8AiAQJ1HD9Re3fhmSsJHIw4w7wNGPg"
    "dxRIRFMyAPVwTQ99UbgEgFlCGYEVm2S4ZXJmQORIcvwFyFXAIZdRHomlBK/JNlc+ZuS05U"
    "x6pEr+XoShFSkLABl70LuOT91HBHTg7oks1oN+Qc4rC2ccPtxQ1Thd+U4FTe8tuMX+i6KN"
    "Qff1CnOwooa1WbpVfHNZfN+C6ALN1GdLtkFvrImPASzFJuRPkIYt+U7xxjyTYi20PQkOoU"
    "YYk2UyTqDBrjgV2CWcrNtrsTXZp7HdspwhJtZpMEhPxtbJPkIEu3YUzbR5CZryHkKEu42T"
    "pxEvMc+sSdmvKuAVv6W9GfHbTUrgNKcNsFrbpAxZ9a8p9jLfmtyIcux7eacGET8nOsJb8V"
    "+RRxupCv14r+Itp2gFEHzCE2X5wogCzdZsZl1CIvKFopL+jHJdsNIycy3eiXYSzZxmRPAz"
    "LXbGu6j+8MZik31t2a4V1zJnkKONxzebZePyMKjChO5S3DB7Az79on8z8iRLV78vLGfl06"
    "GxNi0vmiDffhHcd5WyrvSiVscUKmwCfBGMkNbjBOKOMTipgsyg9UShdkHJDAlTW8R1hKhq"
    "IL+fJBjlhT/Xvzj1thf3Hh5iZZBEuwzpWc2PwBEfIjNVBqiXgnsja2PYG02IC02t6jfSN8"
    "N7aRSivXulrvfQIriC+ClrgfSdQBsl9D5LvLjyfnp+DD1enbs+uzy4vSAI8b5SVxAXPFwd"
    "Xp8fmyCUoo08cPamgugizNzWlukUa6BLQKpf1yN2zXA2Wc7YDWHRBS4iJm5IwVINZ2OSzX"
    "7EZmCmu8spt0i0mlQ5ZtQmm2uwgCoSOnwhmSHyoIo6GP2QR58fmn8l6ypDUSLoeqv6N8oP"
    "jgpBGQ7/Iua+qDgTz2WEhwVlMDZbPPsxX/9iqTu+aIPsNjtffkRO19dneLaZfpR2IyW5RR"
    "nSB6285ups6MzaRlpDWUjAylfZm1yRQF2mlbNdTP25lIkxgqcilKIpokREF80MTxhzPwYC"
    "CLEw3UvwkF16fX0ul62Jd/QOCK58YoWWTsmzuBgfghqriY3NT74O3lu9OH2ijqxh+45jqN"
    "1VPJOg/626Npe/NRU1sla4NVsvTmZ/VsvV7z8webpynxjWz9VL4TZG96JMdThcMm8Oj5Cx"
    "OW7wCtjr7X1LcFvXedwfktxBQx4w4o42zFq5Xi0vLEh3aR6QLS9kH7LUO3wnkx74EyzvJ/"
    "gB7vMaLYnfQ0Lm/S0q/zeWEuc5/TW90Fa3Ycf5QaSytW96l2E28RZdrQY7XlV4B00MTeTG"
    "mUMDRhOBHvILtPHj9uwK6QqmRXtWmOgtblLcm1qKqspQyyxLKHXQ7+BT5mh2hW15Aryaj3"
    "zZfd8L46yoOPqbqLusHOF12//x9BoN4b"
)
