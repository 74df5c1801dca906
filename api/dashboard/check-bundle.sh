#!/bin/sh
# Does a rebuild give the bytes that are committed in dist/? Needs Node 20.19 or newer and says so where it is not there.
set -eu
cd "$(dirname "$0")"

if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
  echo "Dashboard bundle: not checked, there is no Node here (20.19 or newer is needed)."
  exit 0
fi
if ! node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 19) ? 0 : 1)'; then
  echo "Dashboard bundle: not checked, Node $(node --version) is too old (20.19 or newer is needed)."
  exit 0
fi

if grep -nE '"resolved"|//registry' package-lock.json; then
  echo "Dashboard bundle: package-lock.json names a registry (above); remove it and run npm install with this .npmrc." >&2
  exit 1
fi

# The stamp saves the install while the lock file stays the same.
stamp=node_modules/.lock-checksum
checksum=$(cksum <package-lock.json)
if [ ! -f "$stamp" ] || [ "$(cat "$stamp")" != "$checksum" ]; then
  npm ci --silent
  echo "$checksum" >"$stamp"
fi

npm run --silent check

fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
npm run --silent build -- --outDir "$fresh/dist" --emptyOutDir --logLevel warn
if ! diff -rq dist "$fresh/dist"; then
  echo "Dashboard bundle: dist/ is not what the sources give (above); run npm run build and commit dist/." >&2
  exit 1
fi
echo "Dashboard bundle: a rebuild gives the same bytes."
