// Persisted: relay-compiler leaves the texts to the server (QUEUEQL_DOCUMENTS) and the names to the client.
import runtime from "relay-runtime";
import { createClient } from "graphql-ws";
import WebSocket from "ws";
import { headers, url } from "./documents.mjs";

const { Environment, Network, Observable, RecordSource, Store, commitMutation, fetchQuery, requestSubscription } = runtime;
const artifact = async (name) => (await import(`./generated/relay/journey${name}.graphql.js`)).default;

export async function open() {
  const socket = createClient({ url: url.replace("http", "ws"), webSocketImpl: WebSocket, connectionParams: headers });
  const environment = new Environment({
    store: new Store(new RecordSource()),
    network: Network.create(
      async ({ id: documentId }, variables) => {
        const request = { method: "POST", headers: { ...headers, "content-type": "application/json" } };
        return (await fetch(url, { ...request, body: JSON.stringify({ documentId, variables }) })).json();
      },
      ({ id: documentId }, variables) =>
        Observable.create((sink) => socket.subscribe({ query: "", documentId, variables }, sink)),
    ),
  });
  const documents = {
    enqueue: await artifact("EnqueueMutation"),
    enqueueAny: await artifact("EnqueueAnyMutation"),
    page: await artifact("PageQuery"),
    watch: await artifact("WatchSubscription"),
  };
  return {
    takesAnyDocument: false, // relay-compiler refuses a bad document before it is ever sent
    execute: (name, variables) =>
      name === "page"
        ? fetchQuery(environment, documents.page, variables, { fetchPolicy: "network-only" }).toPromise()
        : new Promise((onCompleted, onError) => {
            commitMutation(environment, { mutation: documents[name], variables, onCompleted, onError });
          }),
    watch: (variables, onNext) =>
      new Promise((onCompleted, onError) => {
        requestSubscription(environment, { subscription: documents.watch, variables, onNext, onError, onCompleted });
      }),
    close: () => socket.dispose(),
  };
}
