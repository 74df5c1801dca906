#!/bin/sh
# Makes what relay-compiler and GraphQL Code Generator make from generated/schema.graphql, and lets tsc check it.
set -eu
cd "$(dirname "$0")"
# relay-compiler adds to the file of documents, and only what it has not compiled before.
rm -rf generated/relay
mkdir -p generated/relay
echo "{}" >generated/relay/documents.json
(cd relay && ../node_modules/.bin/relay-compiler)
(cd codegen && ../node_modules/.bin/graphql-codegen --config codegen.json && ../node_modules/.bin/tsc -p .)
