"""The stream's commands; wiring only.

    python -m streaming run --role maturity|lake|catalog      consume until SIGTERM
    python -m streaming seed --as-of D                        state and histories from Spark's rebuild
    python -m streaming replay NAME --from D0 --as-of D       history into Kafka, in virtual time
    python -m streaming send                                  JSON lines from stdin into Kafka, live
    python -m streaming status                                lag and freshness
    python -m streaming verify --as-of D [--from D0]          published rows against the rebuild, row by row
    python -m streaming dead-letters list|replay              what was refused and why; back into its topic after a fix
    python -m streaming state check|export|import             the state store: is it sound; to a folder; from one
    python -m streaming watermark --at-least D                0 if the lake holds every event before D, else 1
"""

import argparse
import json
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from features.clock import SystemClock, from_ms, parse_as_of
from features.errors import GatesidError, StreamError
from features.names import TABLE_EVENTS
from infra.settings import Settings, load_settings
from streaming.config import StreamConfig
from streaming.wiring import ROLES, config_from, open_broker, open_store


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    from streaming.report import Report
    from streaming.role import Stop, run_role

    config = replace(config_from(settings), instance=arguments.instance)
    print(f"{arguments.role}: {config}", flush=True)
    metrics = settings.addresses.stream_metrics if arguments.metrics is None else arguments.metrics
    report = Report(config, arguments.role, None if metrics == "off" else metrics)
    stop = Stop()
    stop.at_signals(report.gone)
    with open_broker(config) as broker:
        run_role(config, ROLES[arguments.role](config, settings, broker, report), report, stop)
    return 0


def seed(arguments: argparse.Namespace, settings: Settings) -> int:
    from streaming.seed import describe, seed_histories, seed_state
    from streaming.user_history import UserHistories

    config = config_from(settings)
    with open_broker(config) as broker:
        store = open_store(config, broker)
        seeded = seed_state(config, broker, store, arguments.as_of, arguments.replace)
    seeded.users = seed_histories(config, UserHistories(store.client, config.group), arguments.as_of)
    print(describe(seeded, arguments.as_of, config.partitions))
    print(config.layout.maturity_state(arguments.as_of.isoformat()))
    return 0


def replay(arguments: argparse.Namespace, settings: Settings) -> int:
    from streaming.kafka_io import Producer
    from streaming.replay import Replay

    config = config_from(settings)
    today = SystemClock().now().date()
    live = arguments.as_of >= today if arguments.live is None else arguments.live
    with open_broker(config) as broker, closing(Producer(config.bootstrap, linger_ms=20)) as producer:
        replayed = Replay(config, broker, producer, arguments.speed, tell)
        done = replayed.run(arguments.name, arguments.start, arguments.as_of, live)
    print(f"{done.events:,} events and {done.items:,} items sent, {done.skipped:,} were there already"
          + ("; the topics are live now" if done.live else ""))
    print(arguments.as_of)
    return 0


def send(arguments: argparse.Namespace, settings: Settings) -> int:
    from streaming.kafka_io import Producer
    from streaming.send import go_live, send_lines

    config = config_from(settings)
    with open_broker(config) as broker, closing(Producer(config.bootstrap, linger_ms=0)) as producer:
        go_live(config, broker)
        events, items = send_lines(config, producer, sys.stdin.fileno(), tell)
    print(f"{events} events and {items} items sent")
    return 0


def status(arguments: argparse.Namespace, settings: Settings) -> int:
    from streaming.status import status_lines

    config = config_from(settings)
    with open_broker(config) as broker:
        print("\n".join(status_lines(config, broker, open_store(config, broker), SystemClock())))
    return 0


def verify(arguments: argparse.Namespace, settings: Settings) -> int:
    from streaming.verify import require_published
    from streaming.verify import verify as compare_tables

    config = config_from(settings)
    with open_broker(config) as broker:
        require_published(config, open_store(config, broker), arguments.as_of)
    verdict = compare_tables(config, arguments.start, arguments.as_of)
    print("\n".join(verdict.lines()))
    return 1 if verdict.differing else 0


def watermark(arguments: argparse.Namespace, settings: Settings) -> int:
    from streaming.raw_lake import day_is_complete, lake_watermark_ms

    config = config_from(settings)
    table = config.layout.table(TABLE_EVENTS)
    complete = day_is_complete(table, config.events_topic, config.partitions, arguments.at_least)
    mark = lake_watermark_ms(table, config.events_topic, config.partitions)
    print(f"every event before {arguments.at_least} is in the lake: {'yes' if complete else 'not yet'}")
    print("none" if mark is None else f"{from_ms(mark):%Y-%m-%dT%H:%M:%SZ}")
    return 0 if complete else 1


def state(arguments: argparse.Namespace, settings: Settings) -> int:
    from streaming import store_copy
    from streaming.user_history import UserHistories

    config = config_from(settings)
    with open_broker(config) as broker:
        store = open_store(config, broker)
    histories = UserHistories(store.client, config.group)
    if arguments.action == "check":
        found = store_copy.check(store, config.partitions, config.interval_ms)
        print("\n".join([*found.lines, *found.faults, f"{len(found.faults)} faults"]))
        return 1 if found.faults else 0
    if arguments.folder is None:
        raise StreamError(f"`state {arguments.action}` needs a folder: --folder PATH")
    if arguments.action == "export":
        users = store_copy.export(store, histories, store.identity, arguments.folder)
        print(f"{config.partitions} partitions and the histories of {users:,} users")
    else:
        partitions = store_copy.restore(store, histories, store.identity, arguments.folder, arguments.replace)
        print(f"partitions {partitions} are as in the export; the stream goes on from their offsets")
    print(arguments.folder)
    return 0


def dead_letters(arguments: argparse.Namespace, settings: Settings) -> int:
    from streaming.letters import read_letters

    config = config_from(settings)
    with open_broker(config) as broker:
        letters = read_letters(config, broker)
        if arguments.action == "replay":
            return replay_letters(arguments, config, broker, letters)
    chosen = letters.of(arguments.reason)
    for letter in chosen if arguments.limit is None else chosen[-arguments.limit:]:
        tell(json.dumps(letter.as_json(), ensure_ascii=False) if arguments.json else letter.line())
    print(letters.summary(), file=sys.stderr if arguments.json else sys.stdout)
    return 0


def replay_letters(arguments: argparse.Namespace, config: StreamConfig, broker: Any, letters: Any) -> int:
    """1 if some of the letters chosen would be refused again."""
    from streaming.kafka_io import Producer
    from streaming.letters import read_edited, replay

    edited = {} if arguments.edited is None else read_edited(arguments.edited, letters)
    chosen = [letters.waiting[name] for name in edited] if edited else letters.of(arguments.reason)
    with closing(Producer(config.bootstrap)) as producer:
        done = replay(config, broker, producer, chosen, edited, SystemClock())
    for line in done.refused:
        tell(line)
    print(f"{done.sent:,} records sent again, {len(done.refused):,} would be refused again and stay")
    return 1 if done.refused else 0


def tell(line: str) -> None:
    print(line, flush=True)


def day(text: str) -> date:
    try:
        return parse_as_of(text)
    except GatesidError as fault:
        raise argparse.ArgumentTypeError(str(fault)) from None


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="streaming", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name: str, about: str, work: Callable[[argparse.Namespace, Settings], int]) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=about, description=about)
        made.set_defaults(work=work)
        return made

    made = command("run", "Consume until SIGTERM, e.g. `python -m streaming run --role maturity`", run)
    made.add_argument("--role", required=True, choices=tuple(ROLES))
    made.add_argument("--instance", help="static group membership: a restart under this name keeps its partitions")
    made.add_argument("--metrics", help="host:port of the Prometheus endpoint, or `off` (default: the stream_metrics address)")
    made = command("seed", "Write the state as of a day from maturity_state/<D> and user_history", seed)
    made.add_argument("--as-of", type=day, required=True)
    made.add_argument("--replace", action="store_true", help="also partitions that stand at that day or later")
    made = command("replay", "Play days of a prepared data set into Kafka in virtual time", replay)
    made.add_argument("name")
    made.add_argument("--from", dest="start", type=day, help="first day (default: the day before --as-of)")
    made.add_argument("--as-of", type=day, required=True)
    made.add_argument("--speed", type=float, help="virtual seconds a second (default: as fast as possible)")
    made.add_argument("--live", action=argparse.BooleanOptionalAction,
                      help="hand the topics to the broker's clock at the end (default: if --as-of is today)")
    command("send", 'Send JSON lines from stdin: {"event_id": …, "event_type": …} or {"item_id": …, "published_at": …}', send)
    command("status", "Lag and freshness per partition, the lake's watermark, which roles are ready", status)
    made = command("verify", "Compare item_maturity_log with item_maturity_rebuilt, row by row; exit code 1 if they "
                             "differ, 3 if the stream has not come as far as --as-of", verify)
    made.add_argument("--from", dest="start", type=day, help="first day (default: the day before --as-of)")
    made.add_argument("--as-of", type=day, required=True)
    made = command("dead-letters", "List the records that were refused, or send them to their topic again after a fix; "
                                   "a letter is replayed once, and an event counts once", dead_letters)
    made.add_argument("action", choices=("list", "replay"))
    made.add_argument("--reason", action="append", default=[], help="only letters with this reason; repeatable")
    made.add_argument("--limit", type=int, help="list: the newest N alone")
    made.add_argument("--json", action="store_true", help="list: one JSON object a line, to be edited and given to replay")
    made.add_argument("--edited", type=argparse.FileType("rb"), metavar="FILE",
                      help="replay: these letters, with the values in FILE (- for stdin), lines as `list --json` prints them")
    made = command("state", "The state store: check it (exit code 1 if it contradicts itself), export it to a new folder, "
                            "import one; stop the maturity consumers before an import", state)
    made.add_argument("action", choices=("check", "export", "import"))
    made.add_argument("--folder", type=Path, help="export: a new one; import: one that was exported")
    made.add_argument("--replace", action="store_true", help="import: also over partitions that stand further")
    made = command("watermark", "Exit code 0 if the lake holds every event before a day, else 1", watermark)
    made.add_argument("--at-least", type=day, required=True)
    return parser


def main(argv: list[str] | None = None) -> int:
    arguments = build_parser().parse_args(argv)
    if getattr(arguments, "start", 0) is None:
        arguments.start = arguments.as_of - timedelta(days=1)
    try:
        return int(arguments.work(arguments, load_settings()))
    except GatesidError as fault:
        print(fault, file=sys.stderr)
        return fault.exit_code


if __name__ == "__main__":
    sys.exit(main())
