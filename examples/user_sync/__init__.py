"""Keeps a local table of users in step with a GraphQL API; see README.md beside this file."""
