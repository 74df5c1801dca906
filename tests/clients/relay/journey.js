// Compiled by relay-compiler: that it compiles proves nodes, connections and the names that Relay demands.
import { graphql } from "relay-runtime";

graphql`
  mutation journeyEnqueueMutation($input: DemoCountdownEnqueueInput!) {
    demoCountdownEnqueue(input: $input) { job { id state } userErrors { code message field } }
  }
`;

graphql`
  mutation journeyEnqueueAnyMutation($input: JobEnqueueInput!) {
    jobEnqueue(input: $input) { job { id } userErrors { code message field } }
  }
`;

graphql`
  subscription journeyWatchSubscription($id: ID!) {
    job(id: $id) { id state attemptCount result }
  }
`;

graphql`
  query journeyPageQuery($after: Cursor) {
    jobs(where: { tasks: ["demo_countdown"] }, first: 1, after: $after) {
      nodes { id state } pageInfo { hasNextPage endCursor }
    }
  }
`;

graphql`
  fragment journeyJobs on Query
  @refetchable(queryName: "journeyJobsRefetchQuery")
  @argumentDefinitions(count: { type: "Int", defaultValue: 10 }, after: { type: "Cursor" }) {
    jobs(first: $count, after: $after) @connection(key: "journey_jobs") {
      edges { node { id ...journeyJob } }
    }
  }
`;

graphql`
  fragment journeyJob on Job @refetchable(queryName: "journeyJobRefetchQuery") {
    state
    attempts(first: 5) { edges { node { id number state } } }
  }
`;
