"""A load client whose arrivals do not wait for answers, so that slow answers are not hidden.

A request is due at its moment of a Poisson process; its latency counts from that moment, whatever the client or the server was
busy with. Connections are kept alive; one more is opened whenever none is idle.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

HANGS_AFTER_S = 10.0
KEEP_EVERY = 20  # bodies kept, to look into when the load is over


@dataclass
class Answers:
    """status → latencies in milliseconds; bodies: some of those with status 200.

    hung: requests without an answer in time; broken: those whose connection was closed.
    """

    latencies_ms: dict[int, list[float]] = field(default_factory=dict)
    hung: int = 0
    broken: int = 0
    bodies: list[bytes] = field(default_factory=list)
    without_retry_after: int = 0
    seconds: float = 0.0

    def note(self, status: int, latency_ms: float, head: bytes, body: bytes) -> None:
        seen = self.latencies_ms.setdefault(status, [])
        seen.append(latency_ms)
        if status == 200 and len(seen) % KEEP_EVERY == 1:
            self.bodies.append(body)
        self.without_retry_after += status == 503 and b"retry-after:" not in head.lower()

    @property
    def accepted(self) -> list[float]:
        return self.latencies_ms.get(200, [])


class LoadClient:
    """Posts to one address. `make_body` gives the body of the next request."""

    def __init__(self, address: str, path: str, make_body: Callable[[], bytes]) -> None:
        self.host, port = address.rsplit(":", 1)
        self.port, self.path, self.make_body = int(port), path, make_body
        self.idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def post(self, body: bytes) -> tuple[int, bytes, bytes]:
        """(status, head, body)"""
        reader, writer = self.idle.pop() if self.idle else await asyncio.open_connection(self.host, self.port)
        writer.write(b"POST %s HTTP/1.1\r\nHost: bench\r\nContent-Length: %d\r\n\r\n%s" % (self.path.encode(), len(body), body))
        head = await reader.readuntil(b"\r\n\r\n")
        size = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        answer = await reader.readexactly(size)
        self.idle.append((reader, writer))
        return int(head[9:12]), head, answer

    async def timed(self, answers: Answers, due: float) -> None:
        loop = asyncio.get_running_loop()
        try:
            status, head, body = await asyncio.wait_for(self.post(self.make_body()), HANGS_AFTER_S)
        except TimeoutError:
            answers.hung += 1
        except (OSError, asyncio.IncompleteReadError):
            answers.broken += 1
        else:
            answers.note(status, (loop.time() - due) * 1000, head, body)

    async def one_after_the_other(self, count: int) -> Answers:
        answers, loop = Answers(), asyncio.get_running_loop()
        for _ in range(count):
            await self.timed(answers, loop.time())
        return answers

    async def as_fast_as_it_goes(self, callers: int, seconds: float) -> Answers:
        """Closed loop: each caller asks again when it is answered. How much is answered is the saturation point."""
        answers, loop = Answers(seconds=seconds), asyncio.get_running_loop()
        end = loop.time() + seconds

        async def call() -> None:
            while loop.time() < end:
                await self.timed(answers, loop.time())

        await asyncio.gather(*(call() for _ in range(callers)))
        return answers

    async def at_rate(self, per_second: float, seconds: float, random: np.random.Generator) -> Answers:
        answers, loop = Answers(seconds=seconds), asyncio.get_running_loop()
        due, end = loop.time(), loop.time() + seconds
        async with asyncio.TaskGroup() as group:
            while (due := due + random.exponential(1 / per_second)) < end:
                if (early := due - loop.time()) > 0:
                    await asyncio.sleep(early)
                group.create_task(self.timed(answers, due))
        return answers

    def close(self) -> None:
        for _, writer in self.idle:
            writer.close()
