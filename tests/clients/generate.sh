#!/bin/sh
# Makes what relay-compiler and GraphQL Code Generator make from generated/schema.graphql, and lets tsc check it.
set -eu
cd "$(dirname "$0")"
echo "{}" >generated/relay/documents.json # relay-compiler adds to it
(cd relay && ../node_modules/.bin/relay-compiler)
(cd codegen && ../node_modules/.bin/graphql-codegen --config codegen.json && ../node_modules/.bin/tsc -p .)
