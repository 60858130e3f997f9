"""Train a ranker by several workers on this machine that share every batch, to the weights of one (up to the order of sums).

    python -m model.train_distributed --workers 2 --ranker gatesid --from 2026-08-24 --as-of 2026-11-22 --codebook cb-20261122

The other arguments are those of model.train_ranker; model.train_worker says what a worker is. When one dies, all are ended, and
the same command again goes on from the last checkpoint.
"""

import argparse
import json
import multiprocessing
import os
import socket
import sys
import threading
import time
from contextlib import ExitStack
from multiprocessing.connection import wait

from features.errors import ConfigError, EnvironmentFault, GatesidError, exit_code


class WorkerFailed(GatesidError):
    """A worker said what is wrong and ended; its exit code is the command's."""

    def __init__(self, message: str, code: int):
        super().__init__(message)
        self.exit_code = code


def start(count: int, argv: list[str]) -> None:
    """Run `count` workers until all are done; the first that ends otherwise ends the rest, which would wait for it.

    Raises ConfigError: less than 2 are asked for; EnvironmentFault: one was killed; WorkerFailed: one ended with a fault.
    """
    if count < 2:
        raise ConfigError(f"--workers must be at least 2, got {count}: one worker is python -m model.train_ranker")
    addresses = [f"127.0.0.1:{port}" for port in free_ports(count)]
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=work, args=(argv, addresses, index, os.getpid()), daemon=True) for index in range(count)]
    try:
        for index, worker in enumerate(workers):
            worker.start()
            print(f"worker {index} of {count} | {addresses[index]} | process {worker.pid}", flush=True)
        running = dict(enumerate(workers))
        while running:
            wait([worker.sentinel for worker in running.values()])
            for index in [index for index, worker in running.items() if worker.exitcode is not None]:
                refuse_fault(f"worker {index} of {count}", running.pop(index).exitcode)
    finally:
        for worker in workers:
            if worker.is_alive():
                worker.kill()


def refuse_fault(who: str, code: int) -> None:
    if code < 0:
        raise EnvironmentFault(f"{who} was killed by signal {-code}, for want of memory perhaps, and the others were ended "
                               "with it. Give the same command again: it goes on from the last checkpoint (--checkpoint-every)")
    if code:
        raise WorkerFailed(f"{who} ended with exit code {code}, and the others with it", code)


def work(argv: list[str], addresses: list[str], index: int, parent: int) -> None:
    """In a process of its own, which ends when the parent does, also where that was killed."""
    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    os.environ["TF_CONFIG"] = json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}})
    from model import train_worker  # here, since the parent has no use for TensorFlow

    sys.exit(train_worker.main(argv))


def free_ports(count: int) -> list[int]:
    """Ports of the loopback that nobody listens on."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m model.train_distributed", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, required=True, help="processes on this machine, at least 2")
    given, others = parser.parse_known_args(argv)
    return exit_code(lambda: start(given.workers, others))


if __name__ == "__main__":
    sys.exit(main())
