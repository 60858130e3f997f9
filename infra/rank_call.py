"""One call of the ranking API, and its reply as a table."""

import json
import urllib.error
import urllib.request
from typing import Any

from features.errors import EnvironmentFault, RequestError
from infra.settings import Settings

TIMEOUT_S = 10.0
COLUMNS = (
    # heading, width, how an item of the reply is shown
    ("item", 14, lambda item: item["item_id"]),
    ("score", 8, lambda item: f"{item['score']:.4f}"),
    ("gate", 6, lambda item: "-" if item.get("semantic_weight") is None else f"{item['semantic_weight']:.2f}"),
    ("days", 6, lambda item: str(item["online_days"])),
    ("seen 7d", 8, lambda item: str(item["exposure_7d"])),
    ("click 7d", 9, lambda item: str(item["click_7d"])),
    ("SID", 19, lambda item: "-" if not item.get("sid") else "-".join(str(code) for code in item["sid"])),
    ("title", 40, lambda item: (item.get("title") or "")[:40]),
)


def post(settings: Settings, user_id: str, candidates: list[str]) -> dict[str, Any]:
    """Raises RequestError: the request was refused (the API's words). EnvironmentFault: nobody answers, or it failed."""
    address = settings.addresses.ranking_api
    headers = {"content-type": "application/json"}
    if settings.api_tokens:
        headers["authorization"] = f"Bearer {settings.api_tokens[0].secret}"
    body = json.dumps({"user_id": user_id, "candidates": candidates}).encode()
    request = urllib.request.Request(f"http://{address}/v1/rank", body, headers)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as reply:
            return json.load(reply)
    except urllib.error.HTTPError as fault:
        said = fault.read().decode(errors="replace").strip()
        if 400 <= fault.code < 500:
            raise RequestError("request", f"refused with {fault.code}: {said}") from None
        raise EnvironmentFault(f"the ranking API at {address} failed with {fault.code}: {said}") from None
    except OSError as fault:
        raise EnvironmentFault(f"no ranking API answers at {address} ({fault}): start it with `gatesid up`") from None


def table(reply: dict[str, Any]) -> str:
    """Best first; `gate` is the semantic weight (1: the score rests on content)."""
    lines = [
        f"user {reply['user_id']}, request {reply['request_id']}, model {reply.get('ranker')} {reply.get('model_version')}, "
        f"codebook {reply.get('codebook_version')}"]
    if reply.get("degraded"):
        lines.append(f"degraded: {reply['degraded']}")
    lines.append("  ".join(heading.ljust(width) for heading, width, _ in COLUMNS).rstrip())
    lines += ["  ".join(shown(item).ljust(width) for _, width, shown in COLUMNS).rstrip() for item in reply["items"]]
    return "\n".join(lines)
