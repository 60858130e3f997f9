"""A member of a Kafka consumer group that starts each partition where its owner says."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence

from kafka import ConsumerRebalanceListener, KafkaConsumer, TopicPartition
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.errors import FencedInstanceIdError
from kafka.structs import OffsetAndMetadata

from features.errors import StreamError
from streaming.kafka_io import BOOTSTRAP_TIMEOUT_MS, RECONNECT_MAX_MS, KafkaError, Records, TopicPart, columns, unreachable
from streaming.report import say

SESSION_TIMEOUT_MS = 6_000
ASK_MS = 3_000  # a question to the broker in the middle of consuming
JOIN_MAX_MS = 3_000  # the longest poll while the group is being joined
STUCK_AFTER_S = 20.0  # three session timeouts: a member that died has long been put out of the group


class GroupConsumer(ConsumerRebalanceListener):
    """`on_assigned(parts)` returns {part: offset, or None for the beginning}; `on_revoked(parts)` is told what was taken.

    Both are called from `poll`, never from the client's own thread: that one only holds new partitions until they are started.
    If `poll` raises, records that it had fetched are lost to the caller: `take_up_again` reads them once more.
    """

    def __init__(self, bootstrap: str, group: str, topics: Sequence[str], *,
                 on_assigned: Callable[[list[TopicPart]], Mapping[TopicPart, int | None]],
                 on_revoked: Callable[[list[TopicPart]], None], max_records: int, instance: str | None = None) -> None:
        self.on_assigned, self.on_revoked, self.instance = on_assigned, on_revoked, instance
        self.bootstrap, self.group, self.topics, self.max_records = bootstrap, group, list(topics), max_records
        self.news: deque[tuple[bool, list[TopicPart]]] = deque()
        self.joining_ms, self.joining_s = 0, 0.0
        self.consumer = self.connect()

    def connect(self) -> KafkaConsumer:
        """A client that joins the group when it is polled. Raises EnvironmentFault: the broker does not answer."""
        try:
            consumer = KafkaConsumer(
                bootstrap_servers=self.bootstrap, group_id=self.group, group_instance_id=self.instance,
                enable_auto_commit=False, auto_offset_reset="none", max_poll_records=self.max_records,
                session_timeout_ms=SESSION_TIMEOUT_MS,
                heartbeat_interval_ms=1_500, max_partition_fetch_bytes=4_194_304, fetch_max_wait_ms=100,
                partition_assignment_strategy=(CooperativeStickyAssignor,), allow_auto_create_topics=False,
                bootstrap_timeout_ms=BOOTSTRAP_TIMEOUT_MS, reconnect_backoff_max_ms=RECONNECT_MAX_MS)
            for topic in self.topics:
                # Known before the group is joined: else the client joins for nothing, and at once again when it hears of
                # them, where kafka-python (3.0.12) can lose the answer and stay out of the group.
                consumer.partitions_for_topic(topic)
        except KafkaError as fault:
            raise unreachable(self.bootstrap, fault) from None
        consumer.subscribe(self.topics, listener=self)
        return consumer

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Hold them: a place to stand (or the client looks for one), and no fetching yet."""
        parts = list(assigned)
        for tp in parts:
            self.consumer.seek(tp, 0)
        self.consumer.pause(*parts)
        self.news.append((True, [TopicPart(*tp) for tp in parts]))

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        self.news.append((False, [TopicPart(*tp) for tp in revoked]))

    def start(self, parts: list[TopicPart]) -> None:
        """Seek each partition to its owner's offset. Raises StreamError: the log no longer, or not yet, has it."""
        held = {TopicPart(*tp) for tp in self.consumer.assignment()}
        parts = [part for part in parts if part in held]
        if not parts:
            return
        wanted = self.on_assigned(parts)
        first = self.consumer.beginning_offsets([TopicPartition(*part) for part in parts], timeout_ms=ASK_MS)
        end = self.consumer.end_offsets([TopicPartition(*part) for part in parts], timeout_ms=ASK_MS)
        for part in parts:
            tp, offset = TopicPartition(*part), wanted[part]
            if offset is not None and not first[tp] <= offset <= end[tp]:
                raise StreamError(
                    f"{part.topic}/{part.partition}: the state stands at offset {offset}, the log holds {first[tp]} to "
                    f"{end[tp]}. Records were deleted before they were read, or the topic was made anew: what is missing "
                    "would be missing from the counts; `python -m streaming seed --as-of D --replace`")
            self.consumer.seek(tp, first[tp] if offset is None else offset)
            self.consumer.resume(tp)

    def seek(self, part: TopicPart, offset: int | None) -> None:
        if offset is None:
            self.consumer.seek_to_beginning(TopicPartition(*part))
        else:
            self.consumer.seek(TopicPartition(*part), offset)

    def take_up_again(self) -> None:
        """Let go of everything held, and take it up as if it had just been assigned."""
        gone: list[TopicPart] = []
        while self.news:
            assigned, parts = self.news.popleft()
            gone += [] if assigned else parts
        held = list(self.consumer.assignment())
        self.consumer.pause(*held)
        parts = [TopicPart(*tp) for tp in held]
        self.on_revoked([*gone, *parts])
        self.news.append((True, parts))

    def patience_ms(self, timeout_ms: int) -> int:
        """How long to poll: twice as long as the last time while the group is being joined.

        kafka-python (3.0.12) forgets a join that was answered between two polls, and asks again: on a busy machine short
        polls alone may never get into the group.
        """
        coordinator = self.consumer._coordinator
        if coordinator.rejoining:
            # A leader that joins because the topics changed forgets that it does as soon as it has assigned (3.0.12): what the
            # others answer it would never look at, nor send a heartbeat.
            coordinator.request_rejoin()
        joining = coordinator.need_rejoin()
        self.joining_ms = min(JOIN_MAX_MS, max(timeout_ms, 2 * self.joining_ms)) if joining else 0
        self.joining_s = self.joining_s if joining else 0.0
        return self.joining_ms or timeout_ms

    def join_anew(self) -> None:
        """Let another client take the place of one that does not come into the group.

        A client can lose its way without a record or a fault (`patience_ms` knows two ways, of kafka-python 3.0.12); the group
        must not wait for it for ever.
        """
        say(f"not in the group {self.group} for {STUCK_AFTER_S:g} s: joining by another connection")
        self.joining_s = 0.0
        fresh, stuck = self.connect(), self.consumer
        held = [TopicPart(*tp) for tp in stuck.assignment()]
        stuck.close(autocommit=False, timeout_ms=ASK_MS)
        self.consumer, self.joining_ms = fresh, 0
        self.news.clear()
        self.news.append((False, held))

    def poll(self, timeout_ms: int) -> dict[TopicPart, Records]:
        """Whatever came, after partitions that came or went were dealt with. Raises StreamError: a namesake took over."""
        if self.joining_s > STUCK_AFTER_S:
            self.join_anew()
        began = time.monotonic()  # what is done between polls, such as loading a large state, is no sign of being stuck
        try:
            found = self.consumer.poll(timeout_ms=self.patience_ms(timeout_ms))
        except FencedInstanceIdError:
            raise StreamError(f"another process has joined the group as --instance {self.instance}, so this one leaves: give "
                              "each process a name of its own") from None
        self.joining_s += time.monotonic() - began
        while self.news:
            assigned, parts = self.news[0]
            if assigned:
                self.start(parts)
            else:
                self.on_revoked(parts)
            self.news.popleft()
        return {TopicPart(*tp): columns(records) for tp, records in found.items() if records}

    def end_offsets(self, parts: Iterable[TopicPart]) -> dict[TopicPart, int]:
        asked = [TopicPartition(*part) for part in parts]
        return {TopicPart(*tp): end for tp, end in self.consumer.end_offsets(asked, timeout_ms=ASK_MS).items()}

    def committed(self, part: TopicPart) -> int | None:
        found = self.consumer.committed(TopicPartition(*part))
        return None if found is None else int(found)

    def commit(self, offsets: Mapping[TopicPart, int]) -> None:
        """Tell the group how far this member is. Where the state store holds the offsets this is for monitoring only."""
        self.consumer.commit_async({
            TopicPartition(*part): OffsetAndMetadata(offset, "", -1) for part, offset in offsets.items()})

    def close(self) -> None:
        self.consumer.close(autocommit=False, timeout_ms=ASK_MS)
