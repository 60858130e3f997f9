"""The ranking call: read → assemble → predict → ordered scores, each with what it was made from.

    service.rank("u7", ["i1", "i2"]).items[0].item_id

Unknown users and items get the stated defaults; without a model the reply is degraded (smoothed 7-day CTR) and says so.
"""

import time
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from features.clock import Clock, SystemClock, from_ms, to_ms
from features.errors import ArtefactError
from features.spec import contract_hash
from serving.assemble import Assembled, FeatureReader, OnlineRows, assemble, read_rows
from serving.client import Prediction
from serving.fallback import smoothed_ctr
from serving.fault import DEADLINE_EXCEEDED, INTERNAL, NOT_FOUND, ServingFault
from serving.ranking_reply import RankedReply, ranked_items
from serving.ranking_request import MAX_CANDIDATES, RankRequest, build_request
from serving.served_log import Served, ServedLog
from serving.served_model import ModelFollower, ServedModel
from serving.signature import CTR, Tensors


class Predictor(Protocol):
    """What `client.ModelClient` offers. Raises ServingFault."""

    def predict(self, inputs: Tensors, version: int | None = None, timeout_s: float | None = None) -> Prediction: ...


class Stopwatch:
    """Milliseconds by stage, and what is left of a request's time."""

    def __init__(self, deadline_ms: float, started: float) -> None:
        self.timings: dict[str, float] = {}
        self.started = self.last = started
        self.deadline_ms = deadline_ms

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.timings[stage] = round(self.timings.get(stage, 0.0) + (now - self.last) * 1000, 3)
        self.last = now

    def elapsed_ms(self) -> float:
        return (time.perf_counter() - self.started) * 1000

    def seconds_left(self) -> float:
        """Raises ServingFault DEADLINE_EXCEEDED: none are."""
        left = self.deadline_ms - self.elapsed_ms()
        if left <= 0:
            said = f"the {self.deadline_ms:g} ms of a request were over before the model was asked"
            raise ServingFault(DEADLINE_EXCEEDED, said)
        return left / 1000


class RankingService:
    """One object for all requests of a process; safe to call from several threads.

    Args:
      deadline_ms: of a request, its wait for a turn included: when it is over the fallback answers.
    """

    def __init__(
        self, reader: FeatureReader, follower: ModelFollower, predictor: Predictor, clock: Clock | None = None,
        new_id: Callable[[], str] = lambda: uuid.uuid4().hex, served_log: ServedLog | None = None,
        max_candidates: int = MAX_CANDIDATES, deadline_ms: float = 1_000,
    ) -> None:
        self.reader, self.follower, self.predictor, self.served_log = reader, follower, predictor, served_log
        self.clock, self.new_id = clock or SystemClock(), new_id
        self.max_candidates, self.deadline_ms = max_candidates, deadline_ms
        self.contract_hash = contract_hash()

    def rank(
        self, user_id: str, candidates: Sequence[str], at: datetime | None = None, request_id: str | None = None,
    ) -> RankedReply:
        """Order the candidates for the user as of `at` (default: now). A candidate given twice is answered once.

        Raises RequestError, which names the argument that the rules of a request do not allow.
        """
        at_ms = None if at is None else to_ms(at)
        return self.answer(build_request(user_id, candidates, at_ms, request_id, self.max_candidates, self.clock.now_ms()))

    def answer(self, asked: RankRequest, request_id: str | None = None, taken: float | None = None) -> RankedReply:
        """The same for a request that was judged already; `request_id` for one that brings none.

        Args:
          taken: time.perf_counter() of when it began to wait for its turn, which counts against its deadline.
        """
        watch = Stopwatch(self.deadline_ms, time.perf_counter() if taken is None else taken)
        watch.lap("wait")
        request_id, now_ms = asked.request_id or request_id or self.new_id(), self.clock.now_ms()
        at_ms = now_ms if asked.at_ms is None else asked.at_ms
        rows = read_rows(self.reader, asked.user_id, list(dict.fromkeys(asked.candidates)), at_ms)
        watch.lap("read")
        model, assembled, prediction, fault = self.predict(rows, watch)
        if prediction is None:
            rates = smoothed_ctr(rows.candidates.exposure_7d, rows.candidates.click_7d)
            outputs: dict[str, NDArray[Any]] = {CTR: rates}
        else:
            outputs = prediction.outputs
        answered = model if prediction is not None else None
        items = ranked_items(rows, assembled, outputs, answered.codebook_version if answered else None)
        reasons = [fault] * bool(fault) + [f"feature store: {rows.store_fault}"] * bool(rows.store_fault)
        if self.served_log and model and assembled:
            self.served_log.add(Served(request_id, now_ms, model, rows, assembled, "; ".join(reasons)))
        watch.lap("reply")
        watch.timings["total"] = round(watch.elapsed_ms(), 3)
        return RankedReply(
            request_id=request_id, user_id=asked.user_id, at=from_ms(at_ms).isoformat(timespec="milliseconds"),
            model_version=answered.version if answered else None, ranker=answered.ranker if answered else None,
            codebook_version=answered.codebook_version if answered else None, contract_hash=self.contract_hash,
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
                    model = self.follower.follow(watch.seconds_left())
                assembled = assemble(model, rows)
                watch.lap("assemble")
                try:
                    prediction = self.predictor.predict(assembled.inputs, model.version, watch.seconds_left())
                    return model, assembled, usable(prediction, len(rows.candidates.item_ids)), ""
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


def usable(prediction: Prediction, candidates: int) -> Prediction:
    """Raises ServingFault INTERNAL: the outputs are not one number a candidate, which no order can follow."""
    outputs = prediction.outputs
    broken = [name for name, values in outputs.items() if values.shape != (candidates,) or not np.isfinite(values).all()]
    if broken or CTR not in outputs:
        raise ServingFault(INTERNAL, f"version {prediction.version} must answer one finite {CTR} a candidate, got "
                                     f"{', '.join(broken) or 'none'} of another kind: export it again")
    return prediction
