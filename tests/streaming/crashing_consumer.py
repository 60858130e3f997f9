"""A maturity consumer that kills itself with SIGKILL at a stated step: run by test_crash.py as a process of its own.

    python crashing_consumer.py CONFIG.json STEP NUMBER      the NUMBER-th time that STEP is reached; STEP `never`: runs
    until it has caught up
"""

import json
import os
import signal
import sys
from pathlib import Path

from features.clock import SystemClock
from features.names import TABLE_MATURITY_LOG
from streaming.config import StreamConfig
from streaming.consumer import MaturityRole
from streaming.dead_letter import DeadLetters
from streaming.heartbeat import Heartbeats
from streaming.kafka_io import Broker, Producer
from streaming.report import Report
from streaming.role import Stop, run_role
from streaming.sinks import LakeSink, MemorySink
from streaming.state_store import Identity
from streaming.user_history import UserHistories
from streaming.valkey_store import ValkeyStateStore, connect


class Bomb:
    def __init__(self, step, number):
        self.step, self.left = step, number

    def at(self, step):
        if step == self.step:
            self.left -= 1
            if not self.left:
                os.kill(os.getpid(), signal.SIGKILL)


def around(bomb, work, before, after):
    def call(*args):
        bomb.at(before)
        result = work(*args)
        bomb.at(after)
        return result
    return call


def main(config_file, step, number):
    given = json.loads(Path(config_file).read_text())
    config = StreamConfig(**given | {"home": Path(given["home"]), "instance": "one-and-the-same"})
    bomb, broker, producer = Bomb(step, int(number)), Broker(config.bootstrap), Producer(config.bootstrap)
    identity = Identity(broker.cluster_id(), config.events_topic, config.partitions, config.interval_ms,
                        config.dedupe_horizon_ms)
    client = connect(config.valkey_url)
    store = ValkeyStateStore(client, config.group, identity)
    online, log = MemorySink(), LakeSink(config.layout.table(TABLE_MATURITY_LOG), config.group, config.events_topic)
    store.commit = around(bomb, store.commit, "before commit", "after commit")
    store.drop_outbox = around(bomb, store.drop_outbox, "after push", "after drop")
    log.table.append = around(bomb, log.table.append, "before lake commit", "after lake commit")
    report, stop = Report(config, "maturity"), Stop()
    if step == "never":
        report.ready = stop.event.set
    role = MaturityRole(config, store, UserHistories(client, config.group), online, log, online,
                        DeadLetters(producer, config.dead_letters_topic),
                        Heartbeats(producer, broker, config.events_topic, config.heartbeat_ms), report, SystemClock())
    run_role(config, role, report, stop)


if __name__ == "__main__":
    main(*sys.argv[1:])
