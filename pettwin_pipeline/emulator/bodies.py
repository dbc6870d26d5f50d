"""Bodies of requests: received in pieces, unpacked in pieces, never more than the limits in memory.

A body that is too large is thrown away as it comes, so that the client reads the answer (413)
instead of a broken connection. Limits are those that Datadog documents for its intake.
"""

import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

import zstandard

from pettwin_pipeline.emulator.refusals import Refusal, bad_request

Receive = Callable[[], Awaitable[Any]]
_PIECE: Final = 64 * 1024
_MOST_THROWN_AWAY: Final = 512 * 1024 * 1024
_RAW_DEFLATE: Final = -zlib.MAX_WBITS
_GZIP: Final = zlib.MAX_WBITS | 16


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """Bytes as they came, and unpacked."""

    packed: int
    unpacked: int


_USUAL: Final = BodyLimits(5_000_000, 20_000_000)
_LIMITS: Final = {
    "/api/v1/series": BodyLimits(3_200_000, 62_000_000),
    "/api/v1/distribution_points": BodyLimits(3_200_000, 62_000_000),
    "/api/v2/series": BodyLimits(512_000, 5_242_880),
    "/api/v2/logs": BodyLimits(5_242_880, 5_242_880),
    "/v1/input": BodyLimits(5_242_880, 5_242_880),
}


def limits_of(path: str) -> BodyLimits:
    """What a path takes."""
    return _LIMITS.get(path, _USUAL)


class _Unpacker(Protocol):
    def unpack(self, piece: bytes, most: int) -> bytes:
        """What a piece holds; at most `most` bytes and a little."""

    def done(self) -> bool:
        """Whether the end was seen."""


class _Plain:
    def unpack(self, piece: bytes, most: int) -> bytes:
        del most
        return piece

    def done(self) -> bool:
        return True


class _Zlib:
    """gzip, deflate, and the raw deflate that some clients send for it."""

    def __init__(self, window: int) -> None:
        self._window = window
        self._engine = zlib.decompressobj(window)
        self._begun = False

    def unpack(self, piece: bytes, most: int) -> bytes:
        try:
            unpacked = self._engine.decompress(piece, most)
        except zlib.error:
            if self._begun or self._window != zlib.MAX_WBITS:
                raise
            self._engine = zlib.decompressobj(_RAW_DEFLATE)
            unpacked = self._engine.decompress(piece, most)
        self._begun = True
        if self._engine.unconsumed_tail:
            raise _too_large()
        return unpacked

    def done(self) -> bool:
        return self._engine.eof


class _Zstd:
    def __init__(self) -> None:
        self._engine = zstandard.ZstdDecompressor(max_window_size=2**23).decompressobj()

    def unpack(self, piece: bytes, most: int) -> bytes:
        # A frame unpacks to 3,000 times its size and more: it is fed in small slices.
        found = bytearray()
        for start in range(0, len(piece), 1024):
            if self._engine.eof:
                break
            found += self._engine.decompress(piece[start : start + 1024])
            if len(found) > most:
                raise _too_large()
        return bytes(found)

    def done(self) -> bool:
        return self._engine.eof


def _unpacker(encoding: str) -> _Unpacker:
    if encoding in {"", "identity"}:
        return _Plain()
    if encoding == "gzip":
        return _Zlib(_GZIP)
    if encoding == "deflate":
        return _Zlib(zlib.MAX_WBITS)
    if encoding in {"zstd", "zstd1"}:
        return _Zstd()
    raise Refusal(415, f"Unsupported content encoding: {encoding}")


def _too_large() -> Refusal:
    return Refusal(413, "Payload too large")


class _Pieces:
    """The body as it comes; knows whether there is more."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.more = True

    async def next(self) -> bytes:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self.more = False
            raise bad_request("The request ended too early")
        self.more = bool(message.get("more_body", False))
        piece: bytes = message.get("body", b"")
        return piece

    async def throw_away(self) -> None:
        thrown = 0
        while self.more and thrown < _MOST_THROWN_AWAY:
            try:
                thrown += len(await self.next())
            except Refusal:
                return


async def read_body(receive: Receive, headers: dict[str, str], limits: BodyLimits) -> bytes:
    """The body, unpacked.

    Raises:
        Refusal: 413 it is too large, 400 it cannot be unpacked, 415 in a way unknown here.
    """
    pieces = _Pieces(receive)
    try:
        return await _read(pieces, headers, limits)
    except (zlib.error, zstandard.ZstdError):
        await pieces.throw_away()
        raise bad_request("Payload is not in the expected format: it cannot be unpacked") from None
    except Refusal:
        await pieces.throw_away()
        raise


async def _read(pieces: _Pieces, headers: dict[str, str], limits: BodyLimits) -> bytes:
    unpacker = _unpacker(headers.get("content-encoding", "").strip().lower())
    announced = headers.get("content-length", "")
    if announced.isdigit() and int(announced) > limits.packed:
        raise _too_large()
    unpacked = bytearray()
    packed = 0
    while pieces.more:
        piece = await pieces.next()
        packed += len(piece)
        if packed > limits.packed:
            raise _too_large()
        for start in range(0, len(piece), _PIECE):
            room = limits.unpacked - len(unpacked)
            unpacked += unpacker.unpack(piece[start : start + _PIECE], room + 1)
            if len(unpacked) > limits.unpacked:
                raise _too_large()
    if packed and not unpacker.done():
        raise bad_request("Payload is not in the expected format: it ends too early")
    return bytes(unpacked)
