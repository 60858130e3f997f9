"""An ASGI application on a port, served from a thread until closed."""

import socket
import threading
from types import TracebackType

import uvicorn
from starlette.types import ASGIApp

from features.errors import EnvironmentFault

START_SECONDS = 30
KEEP_ALIVE_SECONDS = 75  # longer than callers keep an idle connection (60), so that they never send into a closed one


class HttpServer:
    """Start with `with`; `address` is host:port (port 0 takes a free one)."""

    def __init__(self, app: ASGIApp, host: str, port: int) -> None:
        """Raises EnvironmentFault: the port is taken."""
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self.socket.bind((host, port))
        except OSError as fault:
            self.socket.close()
            raise EnvironmentFault(
                f"cannot listen on {host}:{port} ({fault}): stop what holds it, or choose another port") from None
        self.address = f"{host}:{self.socket.getsockname()[1]}"
        self.server = uvicorn.Server(uvicorn.Config(
            app, log_level="warning", access_log=False, lifespan="off", server_header=False, timeout_graceful_shutdown=10,
            timeout_keep_alive=KEEP_ALIVE_SECONDS))
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.socket]}, daemon=True)

    def __enter__(self) -> "HttpServer":
        self.thread.start()
        waited = threading.Event()
        for _ in range(START_SECONDS * 100):
            if self.server.started:
                return self
            if not self.thread.is_alive():
                break
            waited.wait(0.01)
        raise EnvironmentFault(f"the HTTP server on {self.address} did not start within {START_SECONDS} s")

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None) -> None:
        self.server.should_exit = True
        self.thread.join(15)
        self.socket.close()
