"""The disasters: each has a day of the stream's life, strikes while events flow, and says what it saw of its own blow.

A case gets the world and the day's events and must leave maturity consumer `a` and the lake consumer to the supervisor. That
nothing was lost or counted twice is not its business: the comparison at the end finds that out for all of them.
"""

import json
import os
import resource
import signal
import time
from collections.abc import Callable
from typing import Any

from features.clock import MS_PER_DAY, SystemClock
from features.errors import StreamError
from streaming.failure_matrix.victim import CLOCK_STEPS_BACK, IN_AN_APPEND, STEPS, Switch
from streaming.failure_matrix.world import Server, World, wait_until

Event = dict[str, Any]
Case = Callable[[World, list[Event]], str]
CASES: dict[str, Case] = {}
SIGKILLED = -signal.SIGKILL
ENDS_WITHIN_S = 10.0  # what a supervisor grants after SIGTERM


def case(name: str) -> Callable[[Case], Case]:
    def add(work: Case) -> Case:
        CASES[name] = work
        return work
    return add


def halves(events: list[Event]) -> tuple[list[Event], list[Event]]:
    middle = len(events) // 2
    return events[:middle], events[middle:]


def killed_at(world: World, events: list[Event], role: str, step: str, number: int) -> str:
    """Replace the consumer by one that kills itself at a step; small pieces of the day, until it has."""
    world.end(world.consumers[f"{role}/a"])
    victim = world.start(role, switch=Switch(step, number))
    caught_up = world.caught_up if role == "maturity" else world.lake_caught_up
    pieces = [events[start:start + len(events) // 10 + 1] for start in range(0, len(events), len(events) // 10 + 1)]
    for piece in pieces:
        world.send(piece)
        if victim.process.exitcode is None:
            world.close_part(piece)
            world.wait(lambda: victim.process.exitcode is not None or caught_up(), f"taken in, or dead {step}")
    if victim.process.exitcode != SIGKILLED:
        raise StreamError(f"the consumer was to die {step} for the {number}. time and did not: {victim.said[-3:]}")
    return f"SIGKILL at the {number}. time"


def kill_case(step: str) -> Case:
    return lambda world, events: killed_at(world, events, "maturity", step, int(world.rng.integers(1, 4)))


for step in STEPS:
    case(f"kill -9 of the consumer {step}")(kill_case(step))


@case("kill -9 of the consumer in an append to item_maturity_log")
def maturity_append(world: World, events: list[Event]) -> str:
    return killed_at(world, events, "maturity", IN_AN_APPEND, int(world.rng.integers(1, 3)))


@case("kill -9 of the lake consumer in an append")
def lake_append(world: World, events: list[Event]) -> str:
    return killed_at(world, events, "lake", IN_AN_APPEND, 1)


@case("kill -9 of the broker")
def broker_killed(world: World, events: list[Event]) -> str:
    return broker_ends(world, events, signal.SIGKILL)


@case("clean restart of the broker")
def broker_restarted(world: World, events: list[Event]) -> str:
    return broker_ends(world, events, signal.SIGTERM)


def broker_ends(world: World, events: list[Event], how: signal.Signals) -> str:
    first, second = halves(events)
    world.send(first)
    world.kafka.end(how)
    world.kafka.start()
    world.send(second)
    return f"ended with {how.name}, came back"


@case("SIGTERM while the broker does not answer")
def ended_without_broker(world: World, events: list[Event]) -> str:
    return ended_without(world, events, world.kafka)


@case("SIGTERM while the store does not answer")
def ended_without_store(world: World, events: list[Event]) -> str:
    return ended_without(world, events, world.valkey)


def ended_without(world: World, events: list[Event], server: Server) -> str:
    """Stopped, not killed: nothing is refused, nothing is answered, so every question waits for its own end."""
    first, second = halves(events)
    world.publish(first, "caught up before")
    world.wait(world.lake_caught_up, "the lake too")
    world.send(second)
    os.kill(server.pid, signal.SIGSTOP)
    time.sleep(2)  # they have asked by now
    began = time.monotonic()
    for consumer in list(world.consumers.values()):
        world.signal(consumer, signal.SIGTERM)
    codes = [world.ended(consumer, ENDS_WITHIN_S) for consumer in list(world.consumers.values())]
    seconds = time.monotonic() - began
    os.kill(server.pid, signal.SIGCONT)
    world.start_missing()
    return f"ended within {seconds:.0f} s, exit codes {codes}"


@case("a consumer is paused for longer than its session, then goes on as a zombie")
def zombie(world: World, events: list[Event]) -> str:
    first, second = halves(events)
    paused = world.consumers["maturity/a"]
    world.send(first[: len(first) // 2])
    world.signal(paused, signal.SIGSTOP)
    world.send(first[len(first) // 2:])
    heir = world.start(instance="b")
    world.wait(world.caught_up, "the other consumer takes the partitions over")
    world.signal(paused, signal.SIGCONT)
    world.publish(second, "both go on")
    world.end(heir)
    return "stopped, replaced, woken"


@case("two consumers with the same identity")
def same_identity(world: World, events: list[Event]) -> str:
    first, second = halves(events)
    older = world.consumers.pop("maturity/a")
    world.send(first)
    world.start()
    world.wait(lambda: older.process.exitcode is not None, "the older of two namesakes leaves")
    world.send(second)
    return f"exit code {older.process.exitcode}: {(older.said or ['?'])[-1].strip()[:80]}"


@case("four consumers come and go")
def groups(world: World, events: list[Event]) -> str:
    quarter = len(events) // 4
    world.send(events[:quarter])
    others = [world.start(instance=name) for name in "bcd"]
    world.send(events[quarter:2 * quarter])
    world.wait(lambda: all(other.heard("maturity ready") for other in others), "each of four has partitions and has caught up")
    world.send(events[2 * quarter:3 * quarter])
    world.end(others[0], signal.SIGKILL)
    world.end(others[1])
    world.publish(events[3 * quarter:], "those left take over")
    world.end(others[2])
    return "1, 4, 2, 1 consumers"


@case("the store is killed and restarted")
def store_killed(world: World, events: list[Event]) -> str:
    first, second = halves(events)
    world.send(first)
    world.valkey.end(signal.SIGKILL)
    world.send(second)
    world.valkey.start()
    return "killed while events came in"


@case("the store comes back as an older copy")
def store_restored(world: World, events: list[Event]) -> str:
    third = len(events) // 3
    consumer = world.consumers["maturity/a"]
    copy, said = world.valkey.folder.with_name("older-copy"), len(consumer.said)
    world.publish(events[:third], "caught up before the copy is made")
    world.valkey.end(signal.SIGTERM)
    world.valkey.copy(copy)
    world.valkey.start()
    world.publish(events[third:2 * third], "caught up beyond the copy")
    world.valkey.end(signal.SIGKILL)
    world.valkey.restore(copy)
    world.valkey.start()
    world.wait(lambda: consumer.heard("a copy came back", said), "the consumer notices")
    world.send(events[2 * third:])
    return "noticed: a copy came back"


@case("the consumers' disk is full")
def consumer_disk_full(world: World, events: list[Event]) -> str:
    first, second = halves(events)
    consumers = list(world.consumers.values())
    said = {consumer.role: len(consumer.said) for consumer in consumers}
    for consumer in consumers:
        world.limit_files(consumer.process.pid, 0)
    world.send(first)
    world.close_part(first)
    world.wait(lambda: all(c.heard("File too large", said[c.role]) for c in consumers), "the consumers meet the full disk")
    for consumer in consumers:
        world.limit_files(consumer.process.pid, resource.RLIM_INFINITY)
    world.send(second)
    return "waited for room"


@case("the store's disk is full")
def store_disk_full(world: World, events: list[Event]) -> str:
    first, second = halves(events)
    consumer = world.consumers["maturity/a"]
    said = len(consumer.said)
    world.limit_files(world.valkey.pid, 0)
    world.send(first)
    world.close_part(first)
    world.wait(lambda: consumer.heard("MISCONF", said), "the store refuses to write")
    world.limit_files(world.valkey.pid, resource.RLIM_INFINITY)
    world.send(second)
    return "refused (MISCONF), then wrote again"


@case("the consumer's clock steps back")
def consumer_clock(world: World, events: list[Event]) -> str:
    first, second = halves(events)
    world.end(world.consumers["maturity/a"])
    consumer = world.start(switch=Switch(CLOCK_STEPS_BACK, 2))
    world.publish(first, "caught up while the clock steps")
    world.publish(second, "caught up with the clock an hour behind")
    world.end(consumer)
    return "an hour, between two pushes"


@case("the broker's clock steps back")
def broker_clock(world: World, events: list[Event]) -> str:
    first, second = halves(events)
    world.send(first)
    world.send([event | {"ingest_ms": event["ingest_ms"] - 7_200_000} for event in second])
    return "two hours, in the middle of the day"


@case("poison at the head of every partition")
def poison(world: World, events: list[Event]) -> str:
    topic, start_ms = world.config.events_topic, events[0]["ingest_ms"]
    good = {name: value for name, value in events[0].items() if name != "ingest_ms"} | {"event_id": "poison"}
    bad: list[tuple[bytes | None, bytes]] = [
        (b"i1", b"{poison"), (b"i1", b"[1, 2]"), (b"i1", b"\xff\xfe"), (None, b"null"), (b"i1", b"x" * 999_000),
        *((b"i1", json.dumps(good | change).encode()) for change in (
            {"event_type": "view"}, {"event_time": start_ms + 3_600_000}, {"event_time": "noon"}, {"event_time": None},
            {"item_id": "someone-else"}, {"user_id": ""}, {"context": 7}, {"event_time": start_ms - 30 * 86_400_000}))]
    for partition in range(world.config.partitions):
        for key, value in bad:
            world.producer.send(topic, key, value, partition=partition, time_ms=start_ms)
    world.send(events)
    return f"{world.config.partitions * len(bad)} bad records"


@case("a partition stays silent")
def silent(world: World, events: list[Event]) -> str:
    """Live: append time, events on one partition alone; only the consumer's heartbeats carry time to the others."""
    world.broker.set_append_time(world.config.events_topic, True)
    clock = SystemClock()
    now = clock.now_ms()
    world.send([event | {"event_id": f"live-{n}", "item_id": "i1", "event_time": now} for n, event in enumerate(events)])

    def all_passed() -> bool:
        at = [world.store.position(p) for p in range(world.config.partitions)]
        return all(p is not None and p.watermark_ms > now + world.config.interval_ms for p in at)
    world.wait(all_passed, "heartbeats carry time to every partition")
    world.broker.set_append_time(world.config.events_topic, False)
    wait_until(lambda: not world.broker.is_append_time(world.config.events_topic), "the topic keeps the producer's time again")
    while world.now_ms <= clock.now_ms():
        world.now_ms += MS_PER_DAY  # it has become midnight
    return "heartbeats carried its time"
