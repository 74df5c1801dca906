import { ApolloClient, ApolloLink, HttpLink, InMemoryCache, gql } from "@apollo/client";
import { GraphQLWsLink } from "@apollo/client/link/subscriptions";
import { createClient } from "graphql-ws";
import WebSocket from "ws";
import { documents, headers, url } from "./documents.mjs";

export async function open(http = new HttpLink({ uri: url, headers })) {
  const socket = createClient({
    url: url.replace("http", "ws"),
    webSocketImpl: WebSocket,
    connectionParams: headers, // how browsers, which cannot set headers of a socket, sign in
  });
  const client = new ApolloClient({
    cache: new InMemoryCache(),
    link: ApolloLink.split(
      ({ operationType }) => operationType === "subscription",
      new GraphQLWsLink(socket),
      http,
    ),
    defaultOptions: { query: { fetchPolicy: "no-cache" } },
  });
  return {
    async execute(name, variables) {
      const document = gql(documents[name]);
      const { data } = documents[name].startsWith("mutation")
        ? await client.mutate({ mutation: document, variables })
        : await client.query({ query: document, variables });
      return data;
    },
    watch: (variables, next) =>
      new Promise((resolve, reject) => {
        client.subscribe({ query: gql(documents.watch), variables }).subscribe({
          next: ({ data, error }) => (error ? reject(error) : next(data)),
          error: reject,
          complete: resolve,
        });
      }),
    close: () => socket.dispose(),
  };
}
