"""Is a server well? One question over HTTP, with nothing but the standard library."""

import json
import urllib.error
import urllib.request
from typing import Any

TIMEOUT_S = 3.0


def get(url: str) -> tuple[int, Any]:
    """(status, JSON body or None); status 0 when nothing answers."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as reply:
            return reply.status, read_json(reply.read())
    except urllib.error.HTTPError as fault:
        return fault.code, read_json(fault.read())
    except OSError:
        return 0, None


def read_json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None
