// graphql-ws alone, for everything: queries and mutations travel over the socket as well.
import { createClient } from "graphql-ws";
import WebSocket from "ws";
import { documents, headers, url } from "./documents.mjs";

export async function open() {
  const client = createClient({ url: url.replace("http", "ws"), webSocketImpl: WebSocket, connectionParams: headers });
  const run = async (query, variables, next) => {
    for await (const { data, errors } of client.iterate({ query, variables })) {
      if (errors) throw new Error(errors[0].message);
      next(data);
    }
  };
  return {
    async execute(name, variables) {
      let data;
      try {
        await run(documents[name], variables, (value) => (data = value));
      } catch (error) {
        throw Array.isArray(error) ? new Error(error[0].message) : error;
      }
      return data;
    },
    watch: (variables, next) => run(documents.watch, variables, next),
    close: () => client.dispose(),
  };
}
