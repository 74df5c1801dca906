from tortoise import BaseDBAsyncClient

RUN_IN_TRANSACTION = True

# Not in aerich's picture of the models: partial indexes (a query must repeat their condition literally).
ADDED = """
ALTER TABLE "job" ADD "cancel_run" INT;
ALTER TABLE "attempt" ADD "cpu_ms" BIGINT;
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
    "cpu_ms" BIGINT NOT NULL DEFAULT 0,
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
    "cpu_ms" BIGINT NOT NULL DEFAULT 0,
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
ALTER TABLE "attempt" DROP COLUMN "cpu_ms";
ALTER TABLE "job" DROP COLUMN "cancel_run";
DROP TABLE IF EXISTS "rollup";
DROP TABLE IF EXISTS "system_health_snapshots";
DROP TABLE IF EXISTS "leader";
DROP TABLE IF EXISTS "slow_query";
DROP TABLE IF EXISTS "retention_policy";
DROP TABLE IF EXISTS "backup";"""


MODELS_STATE = (
    "eJztXVtz27YS/isYPSUzaiaRczvJk504rVvXTm3nnM4kGQkiIQkVRTAAaEVt898PAN5lkC"
    "aoO42XNib2I6kP4GJ3sVj805kRF3nsyTHnaBbwzhvwT8eHMyT+sdzUBR0YBFmDvMDh0FOy"
    "MCc0ZJxCR95rBD2GxCUXMYfigGPiS+FLHwEa+oCMAAQcsulbMECUEjoAmIFfry8vZNMHiL"
    "2Qoifyni5xxE2xP24GD338LUR9TsaITxAVN/n8ufMXGfaxK5vFzeT//HA2FI1fv4p/Y99F"
    "3xGTkvLPYNofYeS5BX4isLre54tAXTvB4zOff1Cy8r2HfYd44czP5IMFnxA/BWBfkTZGPq"
    "KQI/kETkOkXsfzYnoTHqPfkYlEb5nDuGgEQ09SL9HRC2TXOv3+xeVN//r0pt/v3OmWBJGj"
    "Or7kEF92qXhVpggYy1f46T+93tHRq97To5evXzx/9erF66evhax637tNr35EL5OxFd1KcX"
    "b289nFjXwhIsZNNJ7khR8KAzmMUKozMvaz7iv2wLsJpHr+M8RSH4gft9wHCeNVnZBcyHoh"
    "G+/b6IYZ/N73kD/mE/Hns97rCor/e3z17pfjq0dC6nGR6Iu4qRe1Sc4zjuMPo0hw6fiOpe"
    "8f4IdAbjTGe8+ev3r++ujl83Rop1eqRnQyejMmY91Sn8wMYPnU8Mm4+O0mH38KaOG3f9Sr"
    "8ekf9Uq/fNlUpHdO6FQ3XG/Q95LxmiEaERzPX/vCbwWfN6d/qrlqxtg3L8/jo9+P/1QUzx"
    "Zxy/nlxc+JeI73d+eXJ3eHMxXc9GfMzKQo4tqkKbZiXWQdMMI+ZpMGPbAEbNQFezb4d9MD"
    "yoI30TgpwCocc4XjBKHxUM8wdpSbjHLpQI6mOSdGXhhCZzqH1O3faSE9UiZ7t2nWmy1fgT"
    "4cKzrl75YvHPvxJ+IuYdDRePhxS7fKwR9mMvf698cgkgZ8AjmYQwZm0BVy0HfBfKJccIA5"
    "cEjouWAonHnEOKHIvevqr3Qnjde/imtfbluu06ncrWe/KZey3I0PoHiWgdZP5Fthxm/dzM"
    "R/o/5wwZGpmVnAWTOzsZHjUASb2PlFnO2A5h1AQvl8A4WTIazKaaBybhHF4mHmQ34JaE3O"
    "xq6t+hEGIz4FWMeq3njfEwP/NCDOpKOx76OGSvMepSL3Wvf/m2BnAq6Qi5kwyxFQFrfsds"
    "bZGwBBFLmOLPYxJXMWmetSlIZ+H7tydU4BERUf+V2jfxMPWLMvcD2DnrfyQt/++wORwjrq"
    "vXqZqij5R5VSuv79+Pz8/uW7sgWRqimhnWsiW54Ook/EZD7IEDu2gOw0UGca+AVBj0+ufR"
    "iwCdFmdCxJVE4MbME4mvUnCtJnMYbVmypuhBKeT4gnVLG6DRAam/gIzMgM+fwJuEaOFGUA"
    "CgUvEze66sfI0I7U+BOEKRDj0BNihIqHYE8XJNrYU+6fND53IJcG6lebJLKXSSLMI9x8US"
    "0DtWcO3/IsA81ph+sl/UFO7pyQqTHxOZClvjH14qeHurhquV2VIayjbR5YihJOjAjPQSzj"
    "5ozLWXYImSbtqpzyPMZybs45lVEQI2ctAVi2zdn2Cccj7EDlLpiwfgdo2W8y1h1CXbO0wz"
    "zGcm7OeUCJgxgzM1wKIMu6Oesqdc2I8gxh+W7Id1+t5Jq5RktAuwi50iKk0YjPEDuOOv/z"
    "Y89H+p7EnX8lw44m2Cwvd6sizH/FAjXSCoUogExm/MlUQOg4KBADIFr+g9FiYWIQAA8yDk"
    "bEc5ErAAygWyT6RJdiuIa7fvG/+BdoLrMRGZjLhclJjByrzB0KHtHQ74Jb4X6KX/P4CZBB"
    "6ziQDIi4DNQGlShGHUDKMfTUC4jL4r/Ylzf74o8wFc+f4TFVpmbtKLUKNUhh7HZE4+eO3D"
    "aZ/G2zIHeeBZl0R12uE/lWpCQV+e69eFGDbyFVyrdq0wTnTAhOAZbhegzbDXkb3ZAXUEwo"
    "5ou7DFenouRxbQruN09Jya1R0bHGIpULxCULVLH8Eo8udjj4F3iYHSKfFbRJJqoN1GVbVJ"
    "JDGBc2D0tucCfIc3hbyp+tPFrXtu05th/NnNgcaLdEPl2ZyK2vYquqJhotUbGKnUEOne21"
    "DduYlL5+9eg+LvslC0gPl8/Qd4RdJb3w+mQWMJbJJEghzLYGX/kyrE2m1dq4dShkE93KQs"
    "U2pxRhR2huVUzuhTEisgiyXMZcykAnGY1MwtA5SCsc1W0vvXA8QyTkfc3o/eARWJaSlkct"
    "8T6SsHYx//7y08n5Kfh4dfru7Pos9roSrqNGeUlcwFxxcHV6fL6cnRNSOMSeNkZQHoUpol"
    "oxwjcdiiFz3yxHIQXYpdsG+gPqgjTlZCfyOx7Kn78eEMczxKFcmjAJhuUxNiC2QkBsijQK"
    "u3x8x+JWlZgPc+wKf41w5DuLviHrGqjtgSYZfpwu+kRjgJdbKHlMGzjfQtnWgBKpcUxz+l"
    "JMG2jeQSKl4s94980S8NB99W3Xc5kgZxoQrEvsq6jpUkDZ4d5EkzPDqiIZwvLdhG/IdOt+"
    "VfNmgmgD38VZ8+XzGpPmy+elc6ZsstVHd713z4RuW156pWqv0HeQ16dI/HrGdcuGJ4R4CP"
    "ol06UGvtQNQ4HfpqGiTxFeRwecXF6eFzrg5GyZ4U+/n5wKo/xxMSarMU5i3oxSXoqgFu04"
    "WOO6oi2iuFOjOwzcRh1QxNkOaNwBTDgwbug1OTBgCdki/bLlPnBDZMx+hrG8Nx77uzsqw/"
    "L/xp6UsZse2J89fr+hRUe/ze+3aGGkcqdfsnpSp8woARMiXgpAIEBvwGAqelkd8TeI+n8A"
    "CAWD3NLMoAsGzCGBaJFb7+QmKV110bXcV+74G0wgmyjk9S/HP/VevJSFR+XdukCJd4Fa+g"
    "ePcvd6rHb1iQe/BQO5oaAf3UMVM43LlorL4SzdrLhC5VJ5a5OQUSLfuj1864oXlW/gk71u"
    "QnUibzNuamTcqI/JhN0U0EJ6N7J7zx6muflV2VTbm9BcAB1u+d2Nh++/B5gi88XXIs6apI"
    "dpkt7AcYlJKlvuNUl5LFTr3GohHB08LZBdwAkQbo0r/2BguNCfVX0/RHs+dfxasaK1p1Lv"
    "zcCvsgPjTqur3mPxFk6h1kw5IDNlT1T5OYKu0n53VHncUqnKvUymVnBByssggEdIEBX7CX"
    "2OVVl4X/zTQ0zVBGJwwQAjAI5FL+jDCY3vtIJvr/5v8CEk8ta3N/btZbTILFshQ7RC62w7"
    "XUF9PearizmUXVs8RFP+nIzPsY+0E0DcVD0DkHHfS6RqWfNS+i0YCOK5+JhVKBeqI0IAGf"
    "6FHK436Guh6pRly6wT4zps1qTflklvjc7Nx8YOsCrQniZHxVUpDNjMISyj9iib3arhjHYP"
    "3SLvLu3V5e5SUJuIX0etu5nwQYXRZeLE5CCtmMa2nnQdmYcmlOcgNs29wfH2XLghJnynAM"
    "v2QZUa/yOEFAp3X+8r5lq7Ve7it6JcLYcxKgSeKxc+IqHvCmfQxWPEhC/IkefFxxaLt0rk"
    "lVRZCHGN913zMcfWydyWk2mNzN0kE5OQOmapRSmiFUbRplO3KDIs9tCeSmtbWA8t2xVctQ"
    "t7pV3B+8bx9rdhy2nXjPAEYQlvcuakMn9MVEiGsEud2qXOvbHhUVhivsdHb1RZ7olIjUOD"
    "lHCUYC8P5RkiuSjPdAfJ3yNrV+v3ahosN6ZtKcwtWXd2J/bDXay/Sk5e1ajwq9yprOVaPH"
    "926/2K/FMgU2fnQvEiFQaJTl5T56XFN5JHtjEgA6gy3fYjYTg9I62g5le605ojLNXLGXVj"
    "LPs/Cay6klGu7IO4d0yM8jymFYr+AcV+rxAXn6vg5yPxsKPdi7osco8WioX7QSZdI4FUmI"
    "iYgSkKlI4gPlI7P+W/IyXyFgyUNanSg+QC+yJWOVgBR4QK5UMYimxOlhidtwj48mbRXlBM"
    "5RZSXdbpth+v3aKQ2uFqO6PdorA3NkKVwrRnIW46LGc3A2/Q55giFOhOk6hSIBnGbvFrul"
    "SiOGxwhHoRZ/lvyr/wUujCdODnQNbLbky9rXe24w6g0DcmP8NYndOYdzQjt9pyoVXEZyBb"
    "zLwJ3cLJ4lCT+lqD9AxqqT+YQCrxvDDo6OIYUUu3MnyRydQLWkzEvcQocAH2VdggXvIiKh"
    "SqihLE8QRZ5qorpWTDgAVCn7IBYEj0l8vAiJIZGKgcpAHQRVk3+TBZfOtGVuLCMxQFbqNY"
    "RlxAKwroPgED8T9ExVcxANGXEsmq56p4hyNT6cTAIwACdR49UHt1o5spCQ+NOMC8Cxj54k"
    "cRERbOgDxcEUDPU28AQhVQhmBGZNkuGV6ZkDkQHb4AcxVy8WXURaArQinRT5bNqbstOVEd"
    "qxK9lqMreUhOwgZc9i7gkvVTzR05GaBNNqPdkHOIw9rGDbcXN0wUfl2CE3nLbz1+oeOgQH"
    "/8QZXuyKGsVW2WXh3VXDbjOweydBvR7ZBZ4CFjwgswS7kR5SOIPVO+M4wl24hsF0FDqhOE"
    "JdpMkagzaIwHdgFmKTfb7k50ae5VbCcIS7SZTeIT8rexTZKBLN2GMW0PQWa+hpChLOFm68"
    "RxzHPoEWdqyrsGbOlvRH960FKzDijAbRc06gIVf2rIf4a15DciHzoc32rChXXIz7CW/Ebk"
    "U8TpQr5eI/rzaNsBRh0wh9h8cSIHsnSbGZdhg7ygcKW8oIdLthOE5hv9Uowl25jsqU/mmm"
    "1N9/GdwizlxrpbM7wrziRPAId7Ls/W62eEvhHFibxl+AB25l17ZP5HiKh2T17W2K1KZ2NC"
    "TDpftOY+vOMob0vlXamELU7IFHjEHyO5wQ1GCWV8QhGTRfmBSumCjAPiO7KG9whLyUB0IV"
    "8+yBFrqn9v/nEr7C/O3dwki2AJ1rqSE5s/IEJ+pAZKLRZvRdbGtieQBhuQVtt7tG+E78Y2"
    "UmnlWuv/g0dgCfF50BL3I4k6QPYriHx/+enk/BR8vDp9d3Z9dnlRGOBRo7wkLmCuOLg6PT"
    "5fNkEJZfr4QQXNeZCluT7NDdJIl4BWoTRf7obNeqCIsx3QuAMCShzEjJyxHMTaLoflmt3I"
    "TGGNV3aTbDEpdcjSTSj1dhdBIHTkVDhD8kMFQTj0MJsgNzr/VN5LlrRGwuVQ9XeUDxQdnD"
    "QC8l3ep01dMJDHHgsJzipqoGz2ebbi315lclcc0Wd4rPaenKi9z+5uPu0y+UhMZosiqhVE"
    "b9vZTdWZsZm0jLSGkpGhtC+zNpkiXzttq4bqeTsVqRNDRQ5FcUSTBMiPDpo4/ngGHg1kca"
    "KB+jeh4Pr0Wjpdj7vyDwgc8dwIJYuMfXcm0Bc/RBUXk5t6H727fH/6WBtF3fgD11ynsXwq"
    "WedBf3s0bW8+amqrZG2wSpbe/Cyfrddrfj6weZoSz8jWT+RbQfamR3I0VfTZBPZevDRh+Q"
    "7Q6uh7TX1b0HvXGZzfA0wRM+6AIs5WvFopLi1PfGgWmc4hbR803zJ0K5wX8x4o4iz/B+jx"
    "HiOKnUlH4/LGLd0qnxdmMvc5veVdsGbH8aHUWFqxuk+5m3iLKNOGHsstvxykhSb2ZkqjBI"
    "EJw7F4C9l99vRpDXaFVCm7qk1zFLQub0muRZVlLaWQJZZd7HDwL/AwO0SzuoJcSUa1b77s"
    "hnfVUR58TNVd1A12vuj64/88E937"
)
