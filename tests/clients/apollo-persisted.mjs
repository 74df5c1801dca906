// Apollo's automatic persisted queries: the hash alone first, the document only where the server asks for it.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { HttpLink } from "@apollo/client";
import { PersistedQueryLink } from "@apollo/client/link/persisted-queries";
import { open as openApollo } from "./apollo.mjs";
import { headers, url } from "./documents.mjs";

export async function open() {
  const sent = { hashes: 0, documents: 0 };
  const counting = (input, init) => {
    sent[JSON.parse(init.body).query ? "documents" : "hashes"] += 1;
    return fetch(input, init);
  };
  const persisted = new PersistedQueryLink({ sha256: (text) => createHash("sha256").update(text).digest("hex") });
  const client = await openApollo(persisted.concat(new HttpLink({ uri: url, headers, fetch: counting })));
  return {
    ...client,
    close() {
      assert.equal(sent.documents, 4, "each of the four documents is sent once");
      assert.ok(sent.hashes > 4, "and then only its hash");
      return client.close();
    },
  };
}
