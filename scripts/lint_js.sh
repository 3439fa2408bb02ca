#!/bin/sh
# Lint and type-check the JavaScript; a machine without Node.js or the network learns that nothing was linted.
cd "$(dirname "$0")/.." || exit 1
if ! command -v npm >/dev/null 2>&1; then
  echo "The JavaScript was not linted: it needs Node.js 20.19 or newer, with npm."
  exit 0
fi
if [ ! -d node_modules ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
  npm ci --ignore-scripts --no-audit --no-fund --fetch-retries 0 --silent || {
    echo "The JavaScript was not linted: npm could not fetch the tools that package-lock.json names."
    exit 0
  }
fi
exec npm run --silent lint
