"""The ranking call: read → assemble → predict → ordered scores, each with what it was made from.

    service.rank("u7", ["i1", "i2"]).items[0].item_id

Unknown users and items get the stated defaults; without a model the reply is degraded (smoothed 7-day CTR) and says so.
"""

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from features.clock import Clock, SystemClock, from_ms, to_ms
from features.errors import ArtefactError
from features.spec import contract_hash
from serving.assemble import Assembled, FeatureReader, OnlineRows, age_in_days, assemble, read_rows, stats_defaults
from serving.client import Prediction
from serving.fallback import smoothed_ctr
from serving.fault import INTERNAL, NOT_FOUND, ServingFault
from serving.served_log import Served, ServedLog
from serving.served_model import ModelFollower, ServedModel
from serving.signature import CTCVR, CTR, SEMANTIC_WEIGHT, Tensors


class Predictor(Protocol):
    """What `client.ModelClient` offers. Raises ServingFault."""

    def predict(self, inputs: Tensors, version: int | None = None) -> Prediction: ...


@dataclass(frozen=True, slots=True)
class RankedItem:
    """score: what the order follows, the CTR. ctcvr, semantic_weight: None where the answering model has none."""

    item_id: str
    score: float
    ctr: float
    ctcvr: float | None
    semantic_weight: float | None
    sid: list[int] | None  # as the store has it
    codebook_version: str
    online_days: int
    exposure_7d: int
    click_7d: int
    title: str
    defaults: list[str]


@dataclass(frozen=True, slots=True)
class RankedReply:
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

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class Stopwatch:
    """Milliseconds by stage."""

    def __init__(self) -> None:
        self.timings: dict[str, float] = {}
        self.started = self.last = time.perf_counter()

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.timings[stage] = round(self.timings.get(stage, 0.0) + (now - self.last) * 1000, 3)
        self.last = now


class RankingService:
    """One object for all requests of a process; safe to call from several threads."""

    def __init__(
        self, reader: FeatureReader, follower: ModelFollower, predictor: Predictor, clock: Clock | None = None,
        new_id: Callable[[], str] = lambda: uuid.uuid4().hex, served_log: ServedLog | None = None,
    ) -> None:
        self.reader, self.follower, self.predictor, self.served_log = reader, follower, predictor, served_log
        self.clock, self.new_id = clock or SystemClock(), new_id

    def rank(
        self, user_id: str, candidates: Sequence[str], at: datetime | None = None, request_id: str | None = None,
    ) -> RankedReply:
        """Order the candidates for the user as of `at` (default: now). A candidate given twice is answered once."""
        watch = Stopwatch()
        request_id, now_ms = request_id or self.new_id(), self.clock.now_ms()
        at_ms = now_ms if at is None else to_ms(at)
        rows = read_rows(self.reader, user_id, list(dict.fromkeys(candidates)), at_ms)
        watch.lap("read")
        model, assembled, prediction, fault = self.predict(rows, watch)
        if prediction is None:
            rates = smoothed_ctr(rows.candidates.exposure_7d, rows.candidates.click_7d)
            outputs: dict[str, NDArray[Any]] = {CTR: rates}
        else:
            outputs = prediction.outputs
        items = ranked_items(rows, assembled, outputs)
        reasons = [fault] * bool(fault) + [f"feature store: {rows.store_fault}"] * bool(rows.store_fault)
        if self.served_log and model and assembled:
            self.served_log.add(Served(request_id, now_ms, model, rows, assembled, "; ".join(reasons)))
        watch.lap("reply")
        watch.timings["total"] = round((time.perf_counter() - watch.started) * 1000, 3)
        answered = model if prediction is not None else None
        return RankedReply(
            request_id=request_id, user_id=user_id, at=from_ms(at_ms).isoformat(timespec="milliseconds"),
            model_version=answered.version if answered else None, ranker=answered.ranker if answered else None,
            codebook_version=answered.codebook_version if answered else None, contract_hash=contract_hash(),
            degraded="; ".join(reasons), user_defaults=list(assembled.user_defaults) if assembled else [],
            history_length=len(rows.history.item_ids), items=items, timings_ms=watch.timings)

    def predict(
        self, rows: OnlineRows, watch: Stopwatch,
    ) -> tuple[ServedModel | None, Assembled | None, Prediction | None, str]:
        """Ask the model whose tables the ids are looked up in; where its version is gone, the one that took its place."""
        model, assembled = self.follower.current, None
        try:
            for attempt in (1, 2):
                if model is None:
                    model = self.follower.follow()
                assembled = assemble(model, rows)
                watch.lap("assemble")
                try:
                    return model, assembled, finite(self.predictor.predict(assembled.inputs, model.version)), ""
                except ServingFault as fault:
                    if fault.code != NOT_FOUND or attempt == 2:
                        raise
                    model = None
                finally:
                    watch.lap("predict")
        except (ServingFault, ArtefactError) as fault:
            code = fault.code if isinstance(fault, ServingFault) else "NO_INDEX"
            return model, assembled, None, f"model: {code}: {fault}"
        raise AssertionError("the second attempt answers or raises")


def finite(prediction: Prediction) -> Prediction:
    """Raises ServingFault INTERNAL: an output is not a number, which no order can follow."""
    broken = [name for name, values in prediction.outputs.items() if not np.isfinite(values).all()]
    if broken:
        raise ServingFault(INTERNAL, f"version {prediction.version} answered {', '.join(broken)} with NaN or infinity")
    return prediction


def ranked_items(rows: OnlineRows, assembled: Assembled | None, outputs: dict[str, NDArray[Any]]) -> list[RankedItem]:
    """Best first; equal scores keep the order they were asked in."""
    items, ctr = rows.candidates, outputs[CTR]
    order = np.argsort(-ctr, kind="stable").tolist()
    days = age_in_days(items, rows.at_ms).astype(np.int64).tolist()
    ctcvr, weight = listed(outputs.get(CTCVR), len(ctr)), listed(outputs.get(SEMANTIC_WEIGHT), len(ctr))
    ctrs, codes = ctr.tolist(), items.codes.tolist()
    exposures, clicks = items.exposure_7d.tolist(), items.click_7d.tolist()
    taken = assembled.item_defaults if assembled else stats_defaults(rows)
    defaults: list[list[str]] = [[] for _ in ctrs]
    for name, mask in taken.items():
        for place in np.flatnonzero(mask).tolist():
            defaults[place].append(name)
    return [
        RankedItem(
            item_id=items.item_ids[n], score=ctrs[n], ctr=ctrs[n], ctcvr=ctcvr[n], semantic_weight=weight[n],
            sid=codes[n] if codes[n][0] >= 0 else None, codebook_version=items.codebook_version[n], online_days=days[n],
            exposure_7d=exposures[n], click_7d=clicks[n], title=items.titles[n], defaults=defaults[n])
        for n in order
    ]


def listed(values: NDArray[Any] | None, size: int) -> list[Any]:
    return [None] * size if values is None else values.tolist()
