import { createClient } from "graphql-sse";
import { documents, headers, url } from "./documents.mjs";

export async function open() {
  const client = createClient({ url, headers });
  const run = async (query, variables, next) => {
    for await (const { data, errors } of client.iterate({ query, variables })) {
      if (errors) throw new Error(errors[0].message);
      next(data);
    }
  };
  return {
    async execute(name, variables) {
      let data;
      await run(documents[name], variables, (value) => (data = value));
      return data;
    },
    watch: (variables, next) => run(documents.watch, variables, next),
    close: () => client.dispose(),
  };
}
