"""A gzip bill as plain blocks of whole records: one thread inflates while the block before is read on the others.

duckdb reads one gzip stream on one thread, inflating and parsing in turn. Blocks are files of 48 MiB, a few of them at a time, so a bill
of any size takes bounded memory and disk. A record ends at a line end outside quotes.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import cast

import numpy as np
from isal import isal_zlib

from simulator.ingest.tabular import TextPart

BLOCK_BYTES = 48 * 1024 * 1024
_READ_BYTES = 64 * 1024
_WAITING_BLOCKS = 2
_LONGEST_RECORD = 128 * 1024 * 1024  # a quote that is never closed makes the rest of the file one
_QUOTE, _LINE_END = ord('"'), b"\n"
_DAMAGED: tuple[type[Exception], ...] = (OSError, cast("type[Exception]", isal_zlib.IsalError))


class NotInBlocks(Exception):
    """The stream is damaged, or has no record end in several blocks: to be read as a whole, which tells what is wrong."""


def block_relations(parts: Sequence[TextPart], folder: Path) -> Generator[str]:
    """FROM clauses of all records of all parts, with the same columns in each. A clause is good until the next is asked for.

    Raises `NotInBlocks`.
    """
    names = list(dict.fromkeys(name for part in parts for name in part.names))
    for part in parts:
        absent = [name for name in names if name not in part.names]
        if part.is_packed:
            for number, block in enumerate(blocks(part.file, folder)):
                yield part.relation(block, is_first=number == 0, absent=absent)
        else:
            yield part.relation(absent=absent)


def blocks(file: Path, folder: Path, size: int = BLOCK_BYTES) -> Generator[Path]:
    """Plain files of whole records, in order, about `size` bytes each; each is removed when the next is asked for.

    Raises `NotInBlocks`.
    """
    made: queue.Queue[Path | Exception | None] = queue.Queue(_WAITING_BLOCKS)
    stop = threading.Event()
    writer = threading.Thread(target=_write_blocks, args=(file, folder, size, made, stop), daemon=True)
    writer.start()
    try:
        while (block := made.get()) is not None:
            if isinstance(block, Exception):
                raise block
            yield block
            block.unlink()
    finally:
        stop.set()
        while writer.is_alive():
            _discard(made)
            writer.join(0.01)
        _discard(made)


def _discard(made: queue.Queue[Path | Exception | None]) -> None:
    while not made.empty():
        block = made.get_nowait()
        if isinstance(block, Path):
            block.unlink()


def _write_blocks(file: Path, folder: Path, size: int, made: queue.Queue[Path | Exception | None], stop: threading.Event) -> None:
    pieces = _inflated(file)
    rest: bytes | None = b""
    number = 0
    try:
        while rest is not None and not stop.is_set():
            path = folder / f"{file.name}.block-{number}"
            rest = _write_block(path, rest, pieces, size)
            made.put(path)
            number += 1
        made.put(None)
    except _DAMAGED as error:
        made.put(NotInBlocks(str(error)))
    except Exception as error:  # whatever else goes wrong in this thread is raised in the reader's
        made.put(error)


def _write_block(path: Path, start: bytes, pieces: Iterator[bytes], size: int) -> bytes | None:
    """Write `start` and pieces up to the first record end behind `size` bytes. What is left of the last piece, None at the end."""
    length, quotes = len(start), _quotes(start)
    with path.open("wb", buffering=0) as block:
        block.write(start)
        for piece in pieces:
            quotes += _quotes(piece)
            if length + len(piece) >= size and (end := _record_end(piece, quotes)):
                block.write(piece[:end])
                return piece[end:]
            block.write(piece)
            length += len(piece)
            if length > _LONGEST_RECORD + size:
                raise NotInBlocks("no record end")
    return None


def _inflated(file: Path) -> Iterator[bytes]:
    """The text of all gzip members of the file."""
    member, is_whole = isal_zlib.decompressobj(wbits=31), False
    with file.open("rb") as stream:
        while packed := stream.read(_READ_BYTES):
            while packed:
                yield member.decompress(packed)
                packed, is_whole = member.unused_data, member.eof
                if is_whole:
                    member = isal_zlib.decompressobj(wbits=31)
    if not is_whole:
        raise NotInBlocks("a gzip file that is cut short")


def _record_end(piece: bytes, quotes: int) -> int:
    """Where the last whole record of the piece ends, 0 when none does. `quotes` stand before its end: inside a value they are odd."""
    end = len(piece)
    while (at := piece.rfind(_LINE_END, 0, end)) >= 0:
        quotes -= piece.count(_QUOTE, at, end)
        if quotes % 2 == 0:
            return at + 1
        end = at
    return 0


def _quotes(piece: bytes) -> int:
    return int(np.count_nonzero(np.frombuffer(piece, dtype=np.uint8) == _QUOTE))
