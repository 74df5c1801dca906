// The reference audits of GraphQL over HTTP, all of them. Prints each with how it ended.
import { serverAudits } from "graphql-http";
import { headers, url } from "./documents.mjs";

const fetchFn = (input, init = {}) => fetch(input, { ...init, headers: { ...headers, ...init.headers } });

const outcomes = [];
for (const audit of serverAudits({ url, fetchFn })) {
  const { id, name, status, reason } = await audit.fn();
  outcomes.push({ id, name, status, ...(reason && { reason: String(reason) }) });
}
console.log(JSON.stringify(outcomes));
