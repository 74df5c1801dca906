from tortoise import BaseDBAsyncClient

RUN_IN_TRANSACTION = True


async def upgrade(db: BaseDBAsyncClient) -> str:
    return """
CREATE INDEX IF NOT EXISTS "idx_job_error" ON "job" ("id") WHERE error IS NOT NULL;
CREATE INDEX IF NOT EXISTS "idx_job_reason" ON "job" ("reason", "id") WHERE reason IS NOT NULL;
CREATE INDEX IF NOT EXISTS "idx_log_line_loud" ON "log_line" ("job_id", "id") WHERE level >= 30;"""


async def downgrade(db: BaseDBAsyncClient) -> str:
    return """
DROP INDEX IF EXISTS "idx_log_line_loud";
DROP INDEX IF EXISTS "idx_job_reason";
DROP INDEX IF EXISTS "idx_job_error";"""


MODELS_STATE = (
    "eJztXVtz27YS/isYPdkzasaRryd9kh2ndevYObZyTmecDAWRkMSYIhgAjO1p89+74J0SSR"
    "GyLhaNlzgi9oOob8G9gFjg79aEWsThb7pCkIknWu/Q3y0XTwj8Z7qpjVrY89IGeUHggRPI"
    "4ozQgAuGTdnXEDucwCWLcJPZnrCpK4WvXYKY7yI6RBgJzO9/RX3CGGV9ZHP0x+31lWz6gG"
    "3HZ+SN7NOiJnRqu6PF4L5rf/eJIeiIiDFh0MndXesbHRi2JZuhM/nH9ScDaPz6Ff5vuxZ5"
    "JFxKyo/evTG0iWPl+AnBwXVDPHnBtVN7dOGKD4GsvO+BYVLHn7ipvPckxtRNALYbkDYiLm"
    "FYEPkNgvkkuB3HieiNeQx/RyoS3mUGY5Eh9h1JvUSHN5BeaxnG1XXPuD3vGUZrRi0xIkN1"
    "dMmkrlQp3CoPCBjJW/jlP53O/v5xZ2//6OTw4Pj48GTvBGSD+51tOv4Z3kzKVthVwNnFbx"
    "dXPXlDFMZNOJ7khZ8BBgscogJlpOyn6str4GyMWTH/KWJKB/DjpnUQM16lhPhCqoV0vK9D"
    "DRP8aDjEHYkxfHzbOamg+H/dm7Pfuzc7ILWbJ/oqauqEbZLzlOPowcgTXDq+I+n5A3wbyA"
    "3HeOftwfHByf7RQTK0kytVIzoevSmTkW2pT2YK0HwW8MkF/HaVhz8BNPDZ3+/UePT3O6VP"
    "vmzK0/tA2X3RcO2Rx5LxmiIWIjjyXy+F3wo+e+d/Bb5qwvl3J8vjzsfuXwHFk6eo5fL66r"
    "dYPMP72eX16exwZsCNMeFqIUUe1yRLsZboIlXA0HZtPl5AA1PAhVTwwgb/ZjQQRPAqFicB"
    "aINTz+DIRGZ4nwmm5YUBNu8fMLOMmRbaoWWys02TzmT6CnbxKCBS/mL5+6J88tyj5rhVkG"
    "iGDe2qNJMkInOTzP+PbXOMbogFOSEkfYgLyohUOxf8HSSOYYAFTVigEaMPvI2wawWiEMhC"
    "oiCTyABI2A/CZtPQVXxBQaL6nGz0doId59n5aB2n8RIS0v3O8VFiouSHKqN0+7F7eTk/yy"
    "yL26tcQjND9zW7g/ARUfEHKWLDIb52A3XcwB90UOQE5OVKF/AtEpjrALoIRBHmyBboAf5g"
    "0yQeqD80wzg02oyYlFlgph3MBRpSxyIWADgiPwjoZNbqL6XXL+4X94o8gAD4jgfpIMYRcs"
    "QIDFGGdmA0txG4BQ6/ZvcN6kFb5AUQhcsoyGfh68HleJAD2NgJbgAuw7+2Kzv74g5tBt8/"
    "sUcw7qGfmi7mrgUCfpAsw/MEjXctOcsaf1byQOUJ+TIf1c16n1XNw5V7pVgddbmO5Rs499"
    "E5PKzBN0iV8h205Z1PMv7rEpwANMP1GNbzdyudv/OYTZktnlRTgiyuScHr4qlByilmo4K5"
    "Ifm6sZjLWH6KR8s2BfoHOTbfRj4raJNMVAeo07GoJIdyATEPjzuYnhjdwjdQb589Wpf2li"
    "SKH9XS1wxos0TuPZvINees0SKIAitRSnYWsu1sL23YRqQYA8wLYoR5XCYwzWfEp++aEFfJ"
    "LLw+mTmMZjKepICwbYGnfBrWpNBqadyaDPMxUaE1g9AjNA6YiCnnh2wlIvMgzWXEpZzopM"
    "OhyiR0BtKIRHXdCyGEPSHUF0bB6P3gUFzCeg41xftQwprF/Pvrz6eX5+jTzfnZxe1FlHXF"
    "XIeN8hJcsEXAwc1593KKaMtneGA7hXME5bMweVQjRviqp2Log6u2kioB6HUNC9gPXDRJU0"
    "52LL/hoXz3dYs4nhCB5asJlcmwLEZPiD1jQuyeFBjs8vEdiWtToj7MbQvyNSqIaz4ZiqwX"
    "QLUG1DXAiGBPBi0IwMsjlCymCZyvocrDY1RaHCW/mcU0geZ1D+2YP+X1xlPAbc/V1zxDb4"
    "6Jee/RiKa6gz2P0sN9EUvO5f0rcJ4iNN+L8I150Xu/Kr8ZI5rAd95rHh3UcJpHB6U+Uzbp"
    "YoXNjWZdjbZevk3smsQxGIFfz0XRa8NTSh2C3RJ3WQCfUsMA8OsMVIqXCC9DAafX15c5BZ"
    "xeTDP8+ePpOQTlu/k52aIXYHLtr3oJWh7XpHeLa44Ofc9aSAF5nFbAwgrgEGlbvrNIIewU"
    "UtdhLqoDyyfK7KcYzfvCY39zJeCa/3e6AnwzGng5xWh/kqdWcT3an+EMfmVJWjzNX6cuma"
    "IxhZtCGAHoHerfg5aDrav6of77iDLUz7xD6LdRn5vUgxZZIyareYrKkZfSryxN648xHwfI"
    "29+7v3QOj2SlsuytjQLxNgreUaOdTF+7QfkZfPGvqC9XvhthH0H1c1TnDJf9SVJV94xSZ9"
    "m1ytxGLN+4YrNlTWyUV5pJratQHcvrpSE1loYED5MKuwmggfSupMxMbxK3+teHibVXoTkH"
    "2t56/ZXPMz96NiPqbwnzOB2SbmdI2sOjkpBUtswNSUUkVGs/VhAON1QFZBsJiiCtseQHjg"
    "ZPxXuwzocU7rsa3VZkaPVuqy9m4FfFgZHS6pr3SLyBLlSHKVsUprwQU35JR5e2S4psedxU"
    "acwdOjKcWKqWNZfSkIgDy4I8iiCVx9HO2INvxBTFBr0Wqs7+MenoVN4wRpv0dZl0bXT0Bt"
    "orH+PLrglXYDOD0IwWMqqcViaQJhG65vdMDvlBnFnaq/flSUBNIn4Zm/JMCOcQdM3yWb42"
    "LANphBtb++qwMDxUoTwD0evxFtod3izY76+c7wSg2d6qPVH/62OGXVGSK2Za21Xp4ve8XL"
    "3jmIIdSzP7mg6p71qQDFr2iHDIBQVxnGifa7irWD6QQngEyio5p2k5/S55X2ydZK4rydRB"
    "5mYWk1GfmWqvlhNEI4KiVb+6Z0SxKrU5W8KsYT68rHypqlzsWeVLL43j9deLSberRniM0I"
    "QvQHgY/qiYkBShl7FNWZBw3cSLieGJXxK+R3uEV0XusUiN0w0C4XCBpTw9YECIi3xOrKIz"
    "CyplnxFcB38VBnEs37ghvEQ3WB5M6z271hTd6Uq817vu6iY6u6XIhCdtlVacZaXmGvLPnl"
    "w69QCGlwTTIOERMcHBLlFH8mwZjuQEqlxu9YlyOznMJWfmn9WTPnnshZ085kXaUQnKs5hG"
    "GPpXNPfbk2f0FNicXnR2T7m9iU/3qVN7BAEgRuHuCOHhVJ4/cILytXApp+xLzs4SWdUmYc"
    "EqoHAN0BDJe3mfNLVRXCgEVoY+FFikNXyfDl63JHjdbNHWpqOoFdcJpM+PirvIoxpB9Lrn"
    "cRJzpr6R2xRSZwvbmC306D1xC9120FDttxORGrM9nEByKaJ6Wo+44TvT7qcLtBMV+sr/U4"
    "Zuz2/lnuC7bfkBIxO+N0SBXyWP5hi78EPQEBqpS9DO2fX7892iKaPVf+GSU45Xd9Skrv7d"
    "6kmm4vCz3FsvN/x8ZX6aUUcp1o/lG0H2yuvYA1dh8DHuHB6psDwD1DZ6bqiv56Y3vLZG12"
    "RveAE95sKQLy+VNTCN1DpYVAeM/IDkRV0DeZzmfwsz3i5htjluFaS8UUu7KufFqcy8pLdc"
    "BUtOHF/LUuBnVo6Vp4mlxwyXR37lhww3IcReyaJI+VApMByJN5Ddt3t7dSp19/bKK3VlW0"
    "FVU9GxEOVnWmUg+kgrxSOtNurMfv4LdaSbgA=="
)
