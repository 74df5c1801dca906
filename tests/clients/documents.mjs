// Where the product is, and what the clients ask it.
export const url = process.env.QUEUEQL_URL;
export const headers = { authorization: `Bearer ${process.env.QUEUEQL_TOKEN}` };

export const documents = {
  enqueue: `mutation Enqueue($input: DemoCountdownEnqueueInput!) {
    demoCountdownEnqueue(input: $input) { job { id state } userErrors { code message field } }
  }`,
  enqueueAny: `mutation EnqueueAny($input: JobEnqueueInput!) {
    jobEnqueue(input: $input) { job { id } userErrors { code message field } }
  }`,
  watch: "subscription Watch($id: ID!) { job(id: $id) { id state attemptCount result } }",
  page: `query Page($after: Cursor) {
    jobs(where: { tasks: ["demo_countdown"] }, first: 1, after: $after) {
      nodes { id state } pageInfo { hasNextPage endCursor }
    }
  }`,
  bad: "query Bad { noSuchField }",
};
