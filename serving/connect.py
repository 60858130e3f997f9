"""The ranking service of a whole environment, in this process: no HTTP between a Python ranking stack and the scores.

    from infra.settings import load_settings

    with ranking_service(load_settings()) as service:
        reply = service.rank("u7", ["i1", "i2"])
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from features.errors import ArtefactError, EnvironmentFault
from features.names import TABLE_SERVED_FEATURES
from features.online_rows import ItemRows, UserTakes
from features.retrieval import OnlineFeatures, config_from
from serving.assemble import FeatureReader
from serving.breaker import CircuitBreaker
from serving.client import ModelClient
from serving.fault import ServingFault
from serving.process import log
from serving.rank import RankingService
from serving.served_log import ServedLog
from serving.served_model import ModelFollower

FOLLOW_SECONDS = 1.0
WARM_UP_CALLS = 3


class GuardedReader:
    """The online store behind a circuit breaker: while it hangs, requests go on with defaults instead of waiting for it."""

    def __init__(self, reader: FeatureReader) -> None:
        self.reader = reader
        self.breaker = CircuitBreaker(lambda fault: isinstance(fault, EnvironmentFault))

    def read_items(self, item_ids: Sequence[str]) -> ItemRows:
        return self.breaker.call(lambda: self.reader.read_items(item_ids))

    def read_user(self, user_id: str) -> UserTakes:
        return self.breaker.call(lambda: self.reader.read_user(user_id))


@contextmanager
def ranking_service(settings: Any, log: Callable[[str], None] = log) -> Iterator[RankingService]:
    """From anything that has the settings' attributes. It answers, degraded, before there is a model or a store."""
    name = settings.serving.model_name
    client = ModelClient(settings.addresses.model_grpc, name, settings.serving.deadline_ms)
    follower = ModelFollower(settings.layout.serving / name, client.answering_version)
    reader = GuardedReader(OnlineFeatures(config_from(settings)))
    served_log = ServedLog(settings.layout.table(TABLE_SERVED_FEATURES), settings.serving.logged_share, tell=log)
    service = RankingService(
        reader, follower, client, served_log=served_log,
        max_candidates=settings.serving.max_candidates, deadline_ms=settings.serving.deadline_ms)
    stop = threading.Event()
    following = threading.Thread(target=keep_following, args=(follower, stop, log), daemon=True)
    try:
        warm_up(RankingService(reader, follower, client))
        following.start()
        with served_log:
            yield service
    finally:
        stop.set()
        follower.close()
        client.close()


def keep_following(follower: ModelFollower, stop: threading.Event, log: Callable[[str], None]) -> None:
    """Have a new version's index in memory before a request needs it."""
    said = ""
    while not stop.is_set():
        try:
            model = follower.follow()
            line = f"model {model.ranker}/{model.version} answers, codebook {model.codebook_version}"
        except (ServingFault, ArtefactError) as fault:
            line = f"no model: {fault}; replies are degraded"
        if line != said and not stop.is_set():
            log(line)
            said = line
        stop.wait(FOLLOW_SECONDS)


def warm_up(service: RankingService) -> None:
    """Imports and connections of a first request, before anyone waits for it."""
    for _ in range(WARM_UP_CALLS):
        service.rank("warm-up", ["warm-up"])
