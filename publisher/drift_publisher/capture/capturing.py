"""A capture while it runs: takes records in without waiting, and writes them a frame a second."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import logging
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import zstandard

from drift_publisher.capture.file import CaptureFile, CaptureFileFailed
from drift_publisher.chain import Chain
from drift_publisher.errors import PublisherError
from drift_publisher.source import AccountUpdate
from drift_schemas.capture import CaptureHeader, CaptureReader, pack_account, pack_slot

__all__ = ["Capture", "capturing", "header_of", "open_capture"]

_log = logging.getLogger(__name__)
_FRAME_S: Final = 1.0
_FRAME_BYTES: Final = 4 * 2**20
_MOST_PENDING: Final = 64 * 2**20


class Capture:
    """Hears what a chain's source tells (it is the chain's ``Tap``) and writes it to a file.

    Args:
        file: Where to.

    Attributes:
        accounts, slots: Records written.
        is_full: The file has reached its size limit.
        error: Why the capture ended too early; ``None`` while it is well.
        ended: Set once nothing more is taken in.
    """

    def __init__(self, file: CaptureFile) -> None:
        self.file = file
        self.accounts = 0
        self.slots = 0
        self.is_full = False
        self.error: PublisherError | None = None
        self.ended = asyncio.Event()
        self._pending = bytearray()
        self._pending_accounts = 0
        self._pending_slots = 0
        self._wake = asyncio.Event()
        self._closing = False

    def account(self, update: AccountUpdate) -> None:
        """Takes in one report about an account."""
        self._pending_accounts += 1
        self._take(pack_account(*update))

    def slot(self, slot: int) -> None:
        """Takes in one slot."""
        self._pending_slots += 1
        self._take(pack_slot(slot, time.time_ns()))

    async def write(self) -> None:
        """Writes a frame a second until :meth:`close` or the file's limit; then the file has its final name.

        Never raises: what goes wrong stands in ``error``, for whoever else uses the source goes on.
        """
        try:
            while not (self._closing or self.is_full):
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_FRAME_S):
                        await self._wake.wait()
                self._wake.clear()
                await self._write_frame()
            self.ended.set()
            await asyncio.to_thread(self.file.finish)
        except PublisherError as error:
            self.error = error
            _log.error("the capture ends: %s", error)
        finally:
            self.ended.set()
            self._pending.clear()
            self.file.close()

    def close(self) -> None:
        """Ends the capture: what was taken in until now is still written."""
        self._closing = True
        self._wake.set()

    def _take(self, record: bytes) -> None:
        if self.ended.is_set():
            return
        self._pending += record
        if len(self._pending) >= _FRAME_BYTES:
            self._wake.set()
            if len(self._pending) > _MOST_PENDING:
                self.error = CaptureFileFailed(f"cannot write {self.file.part}: the disk does not keep up")
                self.ended.set()

    async def _write_frame(self) -> None:
        if self.error is not None:
            raise self.error
        content, accounts, slots = self._pending, self._pending_accounts, self._pending_slots
        self._pending, self._pending_accounts, self._pending_slots = bytearray(), 0, 0
        if content:
            if await asyncio.to_thread(self.file.add, accounts + slots, bytes(content)):
                self.accounts += accounts
                self.slots += slots
            else:
                self.is_full = True


@contextlib.asynccontextmanager
async def capturing(chain: Chain, file: CaptureFile) -> AsyncIterator[Capture]:
    """Captures what the chain's source tells within the ``async with``; starts the chain where nobody has.

    A chain that was started before has read its accounts already: they come first, as reads.

    Args:
        chain: Asked for its cluster.
        file: Where to; closed at the end, under its final name unless something went wrong.

    Raises:
        PublisherError: the chain cannot be started, or the file not be written.
    """
    capture = Capture(file)
    try:
        chain.tap(capture)
        subscriber = chain.client.account_subscriber
        if subscriber.is_subscribed():
            for update in _held(chain):
                capture.account(update)
        else:
            await subscriber.subscribe()
        file.begin(header_of(chain))
    except BaseException:
        chain.tap(None)
        file.close()
        raise
    writing = asyncio.create_task(capture.write(), name="capture")
    try:
        yield capture
    finally:
        chain.tap(None)
        capture.close()
        await writing


def _held(chain: Chain) -> Iterator[AccountUpdate]:
    """What the chain's store holds now, as reads."""
    store = chain.store
    for address in (chain.profile.state_address, *store.market_addresses(), *store.oracles()):
        version = store.version(address)
        if version is not None:
            yield AccountUpdate(address, version.owner, version.slot, version.data or None, version.received_ns, True)


def header_of(chain: Chain) -> CaptureHeader:
    """What a capture of this chain is of; without its URL."""
    profile, wanted = chain.profile, chain.subscriptions()
    lines = ["slot"]
    lines += [f"program {program} beginning {discriminator.hex()}" for program, discriminator in wanted.programs]
    lines += [f"account {address}" for address in wanted.accounts]
    return CaptureHeader(
        program=profile.name,
        program_id=profile.program_id,
        cluster=chain.cluster_name,
        genesis=chain.genesis,
        commitment=chain.commitment,
        source=chain.mode,
        software=f"drift-bus {_version()}",
        started_at_ns=time.time_ns(),
        subscriptions=tuple(lines),
    )


def open_capture(path: Path) -> CaptureReader:
    """Opens a capture file.

    Raises:
        CaptureError: it is none, or its beginning is damaged.
        OSError: it cannot be read.
    """
    zstd = zstandard.ZstdDecompressor()
    return CaptureReader(path, lambda body, size: zstd.decompress(body, max_output_size=size))


def _version() -> str:
    try:
        return importlib.metadata.version("drift-bus")
    except importlib.metadata.PackageNotFoundError:
        return "(from its source)"
