"""What the command line asks of the API about what is kept. A test validates each document against schema.graphql."""

from __future__ import annotations

_POLICY = """
fragment PolicyParts on RetentionPolicy {
  kind queue keepFor keepCount every isShipped ranAt removed removedTotal nextRunAt
}
"""

RETENTION_LIST = (
    """
query RetentionList($after: Cursor) {
  retentionPolicies(first: 100, after: $after) {
    nodes { ...PolicyParts }
    pageInfo { hasNextPage endCursor }
  }
}
"""
    + _POLICY
)

RETENTION_SET = (
    """
mutation RetentionSet($input: RetentionSetInput!) {
  retentionSet(input: $input) { policy { ...PolicyParts } userErrors { code message field } }
}
"""
    + _POLICY
)

RETENTION_REMOVE = (
    """
mutation RetentionRemove($input: RetentionRemoveInput!) {
  retentionRemove(input: $input) { policy { ...PolicyParts } userErrors { code message field } }
}
"""
    + _POLICY
)

RETENTION_PREVIEW = """
query RetentionPreview($policy: RetentionPreviewInput!) {
  retentionPreview(policy: $policy) {
    kind oldestAt newestAt count { value precision }
    shares { queue oldestAt newestAt count { value precision } }
  }
}
"""

JOB_CLEAN = """
mutation JobClean($input: JobsCleanInput!) {
  jobsClean(input: $input) { removedCount isComplete userErrors { code message field } }
}
"""
