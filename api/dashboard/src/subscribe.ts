import type { FetcherParams, Observable } from "@graphiql/toolkit";
import type { ExecutionResult, OperationDefinitionNode } from "graphql";
import { CloseCode, createClient, type SubscribePayload } from "graphql-ws";
import { ENDPOINT, type OnSession, post, SIGN_IN } from "./fetcher";

/** How many results the pane shows. */
const SHOWN = 50;
const LONGEST_WAIT_MS = 5_000;
const KEEP_ALIVE_MS = 30_000;

/**
 * What GraphiQL subscribes to: one socket per subscription, with the Headers pane as the payload of
 * connection_init, opened again for as long as it takes when it is lost.
 */
export function subscribe(
  params: FetcherParams,
  operation: OperationDefinitionNode,
  headers: Record<string, unknown> | undefined,
  onSession: OnSession,
): Observable<ExecutionResult> {
  const observable = {
    subscribe(sink: Sink) {
      const payload = payloadOf(params);
      const resumable = operation.variableDefinitions?.some(({ variable }) => variable.name.value === "after");
      const client = createClient({
        url: socketUrl(),
        ...(headers && { connectionParams: headers }),
        keepAlive: KEEP_ALIVE_MS,
        retryAttempts: Number.POSITIVE_INFINITY,
        shouldRetry: (fault) => !(fault instanceof CloseEvent && fault.code === CloseCode.Forbidden),
        async retryWait(retries) {
          await new Promise((resolve) => setTimeout(resolve, Math.min(250 * 2 ** retries, LONGEST_WAIT_MS)));
          // A refused handshake looks like a lost server to a script; a plain request tells them apart.
          await post({ query: "{ __typename }" }, headers && { headers }, (signedIn) => {
            onSession(signedIn);
            if (!signedIn) fail({ message: SIGN_IN });
          });
        },
      });
      const shown = new Results();
      const stop = client.subscribe(payload, {
        next(result) {
          if (resumable) Object.assign(payload.variables, cursorOf(result));
          shown.add(result as ExecutionResult);
          sink.next(shown as ExecutionResult);
        },
        error: (fault) => fail(toError(fault, onSession)),
        complete: () => sink.complete(),
      });
      function fail(fault: unknown) {
        unsubscribe();
        sink.error(fault);
      }
      function unsubscribe() {
        stop();
        void client.dispose();
      }
      return { unsubscribe };
    },
  };
  // GraphiQL calls the first of the type's three signatures.
  return observable as unknown as Observable<ExecutionResult>;
}

interface Sink {
  next(result: ExecutionResult): void;
  error(fault: unknown): void;
  complete(): void;
}

/**
 * The results of one subscription as GraphiQL's pane shows them: a list, newest first. By itself GraphiQL
 * replaces each result by the next, and a job is done before one has read that it started.
 */
class Results {
  #results: ExecutionResult[] = [];

  add(result: ExecutionResult): void {
    this.#results = [result, ...this.#results].slice(0, SHOWN);
  }

  toJSON(): ExecutionResult[] {
    return this.#results;
  }
}

function socketUrl(): string {
  const url = new URL(ENDPOINT, location.href);
  url.protocol = url.protocol.replace("http", "ws");
  return url.href;
}

function payloadOf({ query, operationName, variables }: FetcherParams) {
  return { query, operationName: operationName ?? null, variables: { ...variables } } satisfies SubscribePayload;
}

/** The newest `endCursor`: a subscription with a variable `$after` goes on from there on a new socket. */
function cursorOf({ data }: ExecutionResult | { data?: unknown }): { after?: string } {
  for (const field of Object.values((data ?? {}) as Record<string, { endCursor?: unknown } | null>)) {
    if (typeof field?.endCursor === "string") return { after: field.endCursor };
  }
  return {};
}

/** What GraphiQL shows; of an Error it would show the stack, too. */
function toError(fault: unknown, onSession: OnSession): unknown {
  if (!(fault instanceof CloseEvent)) return fault;
  if (fault.code === CloseCode.Unauthorized || fault.code === CloseCode.Forbidden) {
    onSession(false);
    return { message: SIGN_IN };
  }
  return { message: `The server closed the connection: ${fault.reason || fault.code}.` };
}
