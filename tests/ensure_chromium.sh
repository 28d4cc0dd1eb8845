#!/bin/sh
# Makes sure that a Chromium is at hand for the browser tests: the system's, Debian's package as root, or Playwright's.
set -eu
python=$1
for name in chromium chromium-browser google-chrome; do
    command -v "$name" >/dev/null 2>&1 && exit 0
done
if "$python" -c 'import pathlib, sys
from playwright.sync_api import sync_playwright
with sync_playwright() as p: sys.exit(not pathlib.Path(p.chromium.executable_path).exists())' 2>/dev/null; then exit 0; fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "Installing Debian's Chromium for the browser tests…"
    if apt-get update -qq >/dev/null && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null; then
        exit 0
    fi
fi
echo "Installing Playwright's Chromium for the browser tests…"
"$python" -m playwright install chromium && exit 0
echo "No Chromium could be installed. The browser tests need one: install your system's 'chromium' and run 'make test' again." >&2
exit 1
