import type { Fetcher, FetcherOpts, FetcherParams } from "@graphiql/toolkit";
import { type ExecutionResult, getOperationAST } from "graphql";
import { subscribe } from "./subscribe";

export const ENDPOINT = "/graphql";

export const SIGN_IN =
  "You are not signed in: open the sign-in link that ./run prints when it starts, in this browser.";

/** Told after each answer whether the server knew who asks. */
export type OnSession = (signedIn: boolean) => void;

/** What GraphiQL sends operations with: subscriptions over a WebSocket, everything else by POST. */
export function createFetcher(onSession: OnSession): Fetcher {
  return (params, options) => {
    const operation = options?.documentAST && getOperationAST(options.documentAST, params.operationName);
    return operation?.operation === "subscription"
      ? subscribe(params, operation, options?.headers, onSession)
      : post(params, options, onSession);
  };
}

/** One POST. What is not an answer of GraphQL becomes one sentence under `errors`, where GraphiQL shows it. */
export async function post(
  params: FetcherParams,
  options: FetcherOpts | undefined,
  onSession: OnSession,
): Promise<ExecutionResult> {
  const headers = new Headers(options?.headers);
  headers.set("accept", "application/graphql-response+json, application/json;q=0.9");
  headers.set("content-type", "application/json");
  // Another site's form cannot send it: a session cookie alone is not believed (CSRF).
  headers.set("x-queueql", "1");
  let response: Response;
  try {
    response = await fetch(ENDPOINT, {
      method: "POST",
      credentials: "same-origin",
      headers,
      body: JSON.stringify(params),
    });
  } catch {
    return sentence("The server does not answer. Is it still running?");
  }
  onSession(response.status !== 401);
  if (response.status === 401) return sentence(SIGN_IN);
  try {
    return (await response.json()) as ExecutionResult;
  } catch {
    return sentence(`The server answered ${response.status} ${response.statusText}, and not with JSON.`);
  }
}

/** A result that says one thing. */
function sentence(message: string): ExecutionResult {
  return { errors: [{ message }] } as unknown as ExecutionResult;
}
