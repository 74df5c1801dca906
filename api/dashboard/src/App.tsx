import { explorerPlugin } from "@graphiql/plugin-explorer";
import { GraphiQL, HISTORY_PLUGIN } from "graphiql";
import { useState } from "react";
import { createFetcher, SIGN_IN } from "./fetcher";
import welcome from "./welcome.graphql?raw";

const PLUGINS = [explorerPlugin({ showAttribution: false }), HISTORY_PLUGIN];

/** The one page there is: GraphiQL, in the session of this browser. */
export function App() {
  const [signedIn, setSignedIn] = useState(true);
  const [fetcher] = useState(() => createFetcher(setSignedIn));
  return (
    <>
      {!signedIn && (
        <p className="notice" role="alert">
          {SIGN_IN}
        </p>
      )}
      <GraphiQL fetcher={fetcher} plugins={PLUGINS} defaultQuery={welcome} inputValueDeprecation schemaDescription>
        <GraphiQL.Logo>QueueQL</GraphiQL.Logo>
      </GraphiQL>
    </>
  );
}
