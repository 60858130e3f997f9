#!/usr/bin/env bash
# Make var/venv exactly as requirements.txt says, and put `gatesid` into it. A second run changes nothing.
#   infra/setup.sh PYTHON
set -euo pipefail
cd "$(dirname "$0")/.."
python=$1
stamp=var/venv/requirements.sha256
GATESID_CHECKOUT=$PWD
. infra/env.sh

if ! "$python" infra/preflight.py; then exit 3; fi
wanted=$("$python" -c 'import hashlib; print(hashlib.sha256(open("requirements.txt", "rb").read()).hexdigest())')
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then exit 0; fi

rm -rf var/venv  # half made, or of another requirements.txt
if command -v uv > /dev/null; then
    echo "setup: var/venv with uv"
    uv venv --quiet --python "$python" var/venv
    uv pip install --quiet --python var/venv/bin/python --no-deps --require-hashes -r requirements.txt
else
    echo "setup: var/venv with pip (some minutes)"
    "$python" -m venv var/venv
    # Compiled on first use: most of what is installed is never imported.
    var/venv/bin/python -m pip install --quiet --no-compile --no-deps --require-hashes -r requirements.txt
fi
cat > var/venv/bin/gatesid <<'LAUNCHER'
#!/bin/sh
# The `gatesid` command of the checkout that this environment lies in.
GATESID_CHECKOUT=$(CDPATH= cd -- "$(dirname -- "$0")/../../.." && pwd)
. "$GATESID_CHECKOUT/infra/env.sh"
export PYTHONPATH="$GATESID_CHECKOUT${PYTHONPATH:+:$PYTHONPATH}"
exec "$GATESID_CHECKOUT/var/venv/bin/python" -P -m infra.cli "$@"
LAUNCHER
chmod +x var/venv/bin/gatesid
echo "$wanted" > "$stamp"
