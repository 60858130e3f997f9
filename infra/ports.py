"""Loopback ports: is one free, and a free one instead."""

import socket


def is_free(host: str, port: int) -> bool:
    """Whether a server could bind host:port now (a port in TIME_WAIT counts as free, as servers reuse it)."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def free_port(host: str = "127.0.0.1") -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def choose_port(host: str, wished: int, taken: set[int]) -> int:
    """The wished port, or any free one where it is taken or already given to another service (`taken`)."""
    port = wished
    while port in taken or not is_free(host, port):
        port = free_port(host)
    return port


def accepts(address: str, timeout_s: float = 1.0) -> bool:
    """Whether something listens at host:port."""
    host, port = address.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), timeout=timeout_s).close()
    except OSError:
        return False
    return True
