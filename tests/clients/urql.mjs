import { Client, fetchExchange, subscriptionExchange } from "@urql/core";
import { createClient } from "graphql-ws";
import WebSocket from "ws";
import { documents as plain, headers, url } from "./documents.mjs";

export async function open(documents = plain) {
  const socket = createClient({
    url: url.replace("http", "ws"),
    webSocketImpl: class extends WebSocket {
      constructor(address, protocols) {
        super(address, protocols, { headers });
      }
    },
  });
  const client = new Client({
    url,
    fetchOptions: { headers },
    preferGetMethod: false,
    exchanges: [
      fetchExchange,
      subscriptionExchange({
        forwardSubscription: (request) => ({
          subscribe: (sink) => ({ unsubscribe: socket.subscribe({ ...request, query: request.query ?? "" }, sink) }),
        }),
      }),
    ],
  });
  return {
    async execute(name, variables) {
      const kind = plain[name].startsWith("mutation") ? "mutation" : "query";
      const { data, error } = await client[kind](documents[name], variables).toPromise();
      if (error) throw error;
      return data;
    },
    watch: (variables, next) =>
      new Promise((resolve, reject) => {
        const results = client.subscription(documents.watch, variables);
        results.subscribe(({ data, error, hasNext }) => {
          if (error) reject(error);
          else if (hasNext) next(data);
          else resolve();
        });
      }),
    close: () => socket.dispose(),
  };
}
