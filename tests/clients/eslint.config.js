// All rules of graphql-eslint for schemas and those for Relay, except where a reason stands beside it.
import plugin from "@graphql-eslint/eslint-plugin";

const values = [
  // Parts of other objects, and what mutations and subscriptions hand out: there is nothing to find again.
  "Backoff", "Count", "Failure", "Gap", "PageInfo", "Progress", "QueueCounts", "RescuedJob", "RunningJob", "Viewer",
  "JobSnapshot", "WorkerSnapshot", "WorkerWish", "RetentionPreview", "RetentionShare",
  // A backup is a file; it is listed, not looked up.
  // Figures of one moment or span, which is what tells them apart. Those that end in Figures are excepted below.
  "Bottleneck", "CollectorFault", "DurationStatistics", "HealthComparison", "HealthDifference", "HealthPoint", "ProcessTotal",
  "Backup", "QueueAt", "SlowQuery", "Statistics", "StatisticsLine", "StatisticsReport", "StatisticsSeries", "SystemHealth", "TableRows",
  // Events: their place in the log is the cursor beside them.
  "JobCancelRequested", "JobCancelled", "JobCompleted", "JobDied", "JobDue", "JobEnqueued", "JobLogged", "JobProgressed",
  "JobQuarantined", "JobReaped", "JobReleased", "JobRetrying", "JobSnoozed", "JobStarted",
];

export default [
  {
    files: ["**/*.graphql"],
    languageOptions: { parser: plugin.parser, parserOptions: { graphQLConfig: { schema: "generated/linted.graphql" } } },
    plugins: { "@graphql-eslint": plugin },
    rules: {
      ...plugin.configs["flat/schema-all"].rules,
      ...plugin.configs["flat/schema-relay"].rules,
      // Printed in the order of the reference implementation, which sorts capitals ahead of small letters.
      "@graphql-eslint/alphabetize": "off",
      // There are mutations and subscriptions.
      "@graphql-eslint/no-root-type": "off",
      // A payload has what changed; whoever wants more asks for it in a query.
      "@graphql-eslint/require-field-of-type-query-in-mutation-result": "off",
      // `nodes` beside `edges`, as GitHub has it: most clients need no cursors of single items.
      "@graphql-eslint/relay-edge-types": [
        "error",
        { withEdgeSuffix: true, shouldImplementNode: true, listTypeCanWrapOnlyEdgeType: false },
      ],
      "@graphql-eslint/strict-id-in-types": [
        "error",
        {
          acceptedIdNames: ["id"],
          acceptedIdTypes: ["ID"],
          exceptions: { types: values, suffixes: ["Connection", "Edge", "Error", "Payload", "Batch", "Figures"] },
        },
      ],
    },
  },
];
