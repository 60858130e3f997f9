"""The embedded model server: TF Serving's gRPC and REST APIs over the promoted SavedModels.

    python -m serving.model_server          (serves until SIGTERM; addresses from the settings)

It stands where the TF Serving binary, which comes only as a container image, would stand: same version folders, same
clients. Before the first model exists it runs, reports no versions and answers NOT_FOUND.
"""

import argparse
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import grpc

from features.errors import EnvironmentFault, exit_code
from features.live_codebook import live_codebook_in
from infra.settings import load_settings
from serving.compatibility import check_compatible
from serving.grpc_service import UNLIMITED, add_services
from serving.http_server import HttpServer
from serving.process import log, port_of, wait_for_signal
from serving.registry import Registry
from serving.rest_service import rest_app
from serving.version_watcher import VersionWatcher

DRAIN_SECONDS = 10


@dataclass(frozen=True)
class ModelServerConfig:
    """root: the folder of model folders. Ports: 0 takes a free one. threads: gRPC calls at the same time."""

    root: Path
    live_codebook_file: Path
    host: str = "127.0.0.1"
    grpc_port: int = 0
    rest_port: int = 0
    watch_seconds: float = 1.0
    threads: int = 8


class ModelServer:
    """Start with `with`; grpc_address and rest_address say where it listens."""

    def __init__(self, config: ModelServerConfig, log: Callable[[str], None]) -> None:
        self.config, self.log = config, log
        self.registry = Registry()
        self.stop = threading.Event()
        self.grpc_address = self.rest_address = ""
        self.running = ExitStack()

    def __enter__(self) -> "ModelServer":
        """The promoted models answer when this returns. Raises EnvironmentFault: a port is taken."""
        config = self.config
        watcher = VersionWatcher(
            config.root, self.registry,
            lambda manifest: check_compatible(manifest, live_codebook_in(config.live_codebook_file)), self.log)
        with ExitStack() as starting:
            watcher.scan()
            watching = threading.Thread(target=watcher.run, args=(self.stop, config.watch_seconds), daemon=True)
            watching.start()
            starting.callback(watching.join, 5)
            starting.callback(self.stop.set)
            self.grpc_address = self.start_grpc(starting)
            rest = starting.enter_context(HttpServer(rest_app(self.registry), config.host, config.rest_port))
            self.rest_address = rest.address
            self.running = starting.pop_all()
        return self

    def start_grpc(self, starting: ExitStack) -> str:
        server = grpc.server(ThreadPoolExecutor(self.config.threads), options=UNLIMITED)
        add_services(server, self.registry)
        wanted = f"{self.config.host}:{self.config.grpc_port}"
        try:
            port = server.add_insecure_port(wanted)
        except RuntimeError as fault:
            raise EnvironmentFault(
                f"cannot listen on {wanted} ({fault}): stop what holds it, or set GATESID_MODEL_GRPC") from None
        server.start()
        starting.callback(lambda: server.stop(DRAIN_SECONDS).wait())
        return f"{self.config.host}:{port}"

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None) -> None:
        self.running.close()


def main(argv: list[str] | None = None) -> int:
    argparse.ArgumentParser(prog="python -m serving.model_server", description=__doc__.splitlines()[0]).parse_args(argv)
    def serve() -> None:
        settings = load_settings()
        config = ModelServerConfig(
            settings.layout.serving, settings.layout.live_codebook_file, settings.network.host,
            port_of(settings.addresses.model_grpc), port_of(settings.addresses.model_rest))
        with ModelServer(config, log) as server:
            log(f"ready: gRPC {server.grpc_address}, REST http://{server.rest_address}, watching {config.root}")
            wait_for_signal()
            log("stopping")
    return exit_code(serve)


if __name__ == "__main__":
    sys.exit(main())
