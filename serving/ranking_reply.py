"""What a ranking call answers. The types are also the reply's schema in the OpenAPI document."""

from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from serving.assemble import Assembled, OnlineRows, age_in_days, stats_defaults
from serving.signature import CTCVR, CTR, SEMANTIC_WEIGHT


class RankedItem(Struct, frozen=True, gc=False):
    """One candidate, and what its score was made from.

    score: what the order follows, the CTR. ctcvr, semantic_weight: null where the answering model has none; semantic_weight
    is the gate: 1 = it trusts content, 0 = behaviour. sid, codebook_version: of the answering model's codebook, without such a
    model the SID given last; null and "" where the store has none. maturity_tick_ms: the publication that the counts are of,
    null where there was none. defaults: which stand in, by input and reason.
    """

    item_id: str
    score: float
    ctr: float
    ctcvr: float | None
    semantic_weight: float | None
    sid: list[int] | None
    codebook_version: str
    online_days: int
    exposure_7d: int
    click_7d: int
    maturity_tick_ms: int | None
    title: str
    defaults: list[str]


class RankedReply(Struct, frozen=True):
    """items: best first. degraded: "" or why the scores are not the model's. timings_ms: by stage."""

    request_id: str
    user_id: str
    at: str
    model_version: int | None
    ranker: str | None
    codebook_version: str | None
    contract_hash: str
    degraded: str
    user_defaults: list[str]
    history_length: int
    items: list[RankedItem]
    timings_ms: dict[str, float]


def ranked_items(
    rows: OnlineRows, assembled: Assembled | None, outputs: dict[str, NDArray[Any]], codebook: str | None,
) -> list[RankedItem]:
    """Best first; equal scores keep the order they were asked in. codebook: the answering model's, None where it has none."""
    items, ctr = rows.candidates, outputs[CTR]
    size = len(ctr)
    order = np.argsort(-ctr, kind="stable")
    taken = assembled.item_defaults if assembled else stats_defaults(rows)
    defaults: list[list[str]] = [[] for _ in range(size)]
    for name, mask in taken.items():
        for place in np.flatnonzero(mask[order]).tolist():
            defaults[place].append(name)

    def column(values: NDArray[Any]) -> list[Any]:
        return values[order].tolist()

    def optional(values: NDArray[Any] | None) -> list[Any]:
        return [None] * size if values is None else column(values)

    ctrs = column(ctr)
    sids = [codes if codes[0] >= 0 else None for codes in column(items.codes if codebook is None else items.codes_of(codebook))]
    versions = items.codebook_version[order] if codebook is None else [codebook] * size
    versions = [version if sid else "" for version, sid in zip(versions, sids, strict=True)]
    ticks = [tick if tick >= 0 else None for tick in column(items.maturity_tick_ms)]
    days = column(age_in_days(items, rows.at_ms).astype(np.int64))
    return list(map(
        RankedItem, column(items.item_ids), ctrs, ctrs, optional(outputs.get(CTCVR)), optional(outputs.get(SEMANTIC_WEIGHT)),
        sids, versions, days, column(items.exposure_7d), column(items.click_7d), ticks,
        column(items.titles), defaults))
