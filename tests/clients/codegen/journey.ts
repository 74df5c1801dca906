// Documents whose types GraphQL Code Generator makes from the schema; tsc checks what this file does with them.
import { graphql } from "../generated/gql/gql.js";
import type { DemoCountdownEnqueueInput, JobState } from "../generated/gql/graphql.js";

export const enqueue = graphql(`
  mutation Enqueue($input: DemoCountdownEnqueueInput!) {
    demoCountdownEnqueue(input: $input) { job { id state createdAt } isDuplicate userErrors { code message field } }
  }
`);

export const enqueueAny = graphql(`
  mutation EnqueueAny($input: JobEnqueueInput!) {
    jobEnqueue(input: $input) { job { id } userErrors { __typename code message field } }
  }
`);

export const watch = graphql(`
  subscription Watch($id: ID!) { job(id: $id) { id state attemptCount result } }
`);

export const page = graphql(`
  query Page($after: Cursor) {
    jobs(where: { tasks: ["demo_countdown"] }, first: 1, after: $after) {
      nodes { id state } pageInfo { hasNextPage endCursor }
    }
  }
`);

export const events = graphql(`
  subscription Events($after: Cursor) {
    jobEvents(after: $after) {
      endCursor
      gap { reason }
      events { __typename jobId at ... on JobDied { reason error { type message } } ... on JobCompleted { result } }
    }
  }
`);

export const input: DemoCountdownEnqueueInput = { args: { steps: 3, stepS: 0.05 } };
export const final: readonly JobState[] = ["COMPLETED", "CANCELLED", "DEAD"];

// @ts-expect-error a name that the task's function does not have
export const wrongName: DemoCountdownEnqueueInput = { args: { step: 3 } };
// @ts-expect-error a value that no number can be
export const wrongType: DemoCountdownEnqueueInput = { args: { steps: [3] } };
