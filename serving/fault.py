"""What a model call may end in other than an answer: TF Serving's canonical codes, over gRPC and HTTP alike."""

import grpc

from features.errors import GatesidError

NOT_FOUND = "NOT_FOUND"
INVALID_ARGUMENT = "INVALID_ARGUMENT"
UNAVAILABLE = "UNAVAILABLE"
DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
RESOURCE_EXHAUSTED = "RESOURCE_EXHAUSTED"
INTERNAL = "INTERNAL"

CODES = {code.value[0]: code.name for code in grpc.StatusCode}
HTTP_STATUS = {
    INVALID_ARGUMENT: 400, NOT_FOUND: 404, UNAVAILABLE: 503, DEADLINE_EXCEEDED: 504, "UNIMPLEMENTED": 501,
    RESOURCE_EXHAUSTED: 503, "CANCELLED": 499,
}


class ServingFault(GatesidError):
    """A call to a model that failed; `code` is the name of a gRPC status code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code

    @property
    def http_status(self) -> int:
        return HTTP_STATUS.get(self.code, 500)
