"""A stand-in for the directory that user_sync reads: a GraphQL API with paging, limits and faults."""
