"""The command line as a client of the GraphQL API: written from schema.graphql alone, as anybody's client would be.

One file per noun has its commands; `document.py` has all that is asked. What is needed only once a command runs
(aiohttp, rich) is imported then, so that every command starts fast.
"""
