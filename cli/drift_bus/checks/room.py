"""Room on the disk, as the server counts it."""

from __future__ import annotations

import contextlib
import secrets
from typing import Any, Final

from drift_bus.checks.finding import Finding, failed, ok, skipped, warning
from drift_bus.checks.link import ApiError, Denied, Link, NoOneAnswers
from drift_schemas import Topology

__all__ = ["room"]

_NOT_FOUND: Final = 10059
_NO_ROOM: Final = 10047
_SOME_ROOM: Final = 64 * 1024**2
_GIB: Final = 1024**3
_NEARLY_FULL: Final = 0.9
_MORE: Final = (
    "give JetStream more disk (max_file_store, or the account's limit), "
    "or lower DRIFT_BUS_STREAM_MAX_BYTES and DRIFT_BUS_FUNDING_MAX_BYTES"
)


async def room(link: Link, topology: Topology) -> Finding:
    """Whether the streams fit: asks for as much as is missing, by a stream that is deleted at once."""
    try:
        info = await link.api("INFO")
    except (ApiError, Denied, NoOneAnswers):
        return skipped("", "this login may not ask how much is used, which is right for an engine")
    used, limit = int(info.get("storage", 0)), int(info.get("limits", {}).get("max_storage", -1))
    said = f"{used / _GIB:.2f} GiB stored" + (f" of {limit / _GIB:.2f} GiB allowed" if limit > 0 else "")
    endless = [config["name"] for config in topology.configs() if config.get("max_bytes", 0) == -1]
    missing = await _missing_bytes(link, topology)
    if 0 < limit < used / _NEARLY_FULL:
        return warning("", said, _MORE, used=used, limit=limit)
    try:
        await _reserve(link, topology, max(missing, _SOME_ROOM))
    except Denied:
        return ok("", f"{said}; this login may not try for more", used=used, limit=limit)
    except ApiError as error:
        if error.code != _NO_ROOM:
            raise
        what = f"{said}, and no room for {max(missing, _SOME_ROOM) / _GIB:.2f} GiB more, which the streams need"
        return failed("", what, _MORE, used=used, limit=limit)
    if endless:
        remedy = "set DRIFT_BUS_STREAM_MAX_BYTES and DRIFT_BUS_FUNDING_MAX_BYTES well below the disk's size"
        return warning("", f"{said}; {', '.join(endless)} may fill the disk", remedy, used=used, limit=limit)
    return ok("", f"{said}, and room for what is set aside", used=used, limit=limit)


async def _missing_bytes(link: Link, topology: Topology) -> int:
    """What streams that are not there yet will set aside."""
    missing = 0
    for config in topology.configs():
        try:
            await link.stream_info(config["name"])
        except ApiError as error:
            if error.code == _NOT_FOUND:
                missing += max(0, int(config.get("max_bytes", 0)))
        except Denied:
            continue
    return missing


async def _reserve(link: Link, topology: Topology, size: int) -> None:
    name = f"DOCTOR_ROOM_{secrets.token_hex(4)}"
    config: dict[str, Any] = {
        "name": name,
        "subjects": [f"doctor.room.{name}"],
        "storage": "file",
        "max_bytes": size,
        "num_replicas": topology.replicas,
    }
    try:
        await link.api(f"STREAM.CREATE.{name}", config)
    finally:
        with contextlib.suppress(ApiError, Denied, TimeoutError):
            await link.api(f"STREAM.DELETE.{name}")
