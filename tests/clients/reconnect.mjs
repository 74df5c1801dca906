// Follows events through the end of a server: node reconnect.mjs CLIENT. QUEUEQL_URLS are the servers, taken in turn.
// Prints a line of JSON for each connection and each batch.
import { createClient as createSse } from "graphql-sse";
import { createClient as createWs } from "graphql-ws";
import WebSocket from "ws";
import { headers } from "./documents.mjs";

const urls = process.env.QUEUEQL_URLS.split(",");
let turn = 0;
const next = () => urls[turn++ % urls.length];
const tell = (line) => console.log(JSON.stringify(line));

const wait = () => new Promise((resolve) => setTimeout(resolve, 20));
const on = {
  connected: () => tell({ connected: turn }),
  closed: ({ code, reason }) => tell({ closed: code, reason }),
};
const clients = {
  "graphql-ws": () =>
    createWs({
      url: () => next().replace("http", "ws"),
      webSocketImpl: WebSocket,
      connectionParams: headers,
      retryWait: wait,
      on,
    }),
  "graphql-sse": () => createSse({ url: next, headers, retry: wait, on }),
};

const query = `subscription Follow($after: Cursor) {
  jobEvents(after: $after) { endCursor gap { reason } events { __typename jobId } }
}`;
const request = { query, variables: { after: null } };
for await (const { data, errors } of clients[process.argv[2]]().iterate(request)) {
  if (errors) throw new Error(errors[0].message);
  const { endCursor, gap, events } = data.jobEvents;
  request.variables.after = endCursor; // the next connection goes on from here
  tell({ gap, jobs: events.filter((event) => event.__typename === "JobEnqueued").map((event) => event.jobId) });
}
