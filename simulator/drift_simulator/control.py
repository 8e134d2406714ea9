"""The control API beside the RPC: faults in, counters and markets out."""

from __future__ import annotations

from typing import Any

import orjson
from aiohttp import web

from .faults import Fault, FaultKind
from .node import Node

__all__ = ["CONTROL_PATHS", "control_routes"]

CONTROL_PATHS = ("/counters", "/markets", "/faults")


def _json(value: Any, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(value), status=status, content_type="application/json")


def control_routes(node: Node) -> list[web.RouteDef]:
    """Return the routes: GET /counters, /markets, /faults; POST and DELETE /faults (``?kind=``)."""

    async def get_counters(_request: web.Request) -> web.Response:
        return _json(node.counters.snapshot())

    async def get_markets(_request: web.Request) -> web.Response:
        return _json(
            [
                {
                    "market_type": entry.market_type,
                    "name": entry.name,
                    "index": entry.index,
                    "pubkey": str(entry.pubkey),
                    "oracle": str(entry.oracle),
                    "oracle_source": entry.oracle_source,
                }
                for entry in node.cluster.markets
            ]
        )

    async def get_faults(_request: web.Request) -> web.Response:
        return _json({"faults": node.faults.listing(), "kinds": [kind.value for kind in FaultKind]})

    async def post_fault(request: web.Request) -> web.Response:
        try:
            number = node.faults.inject(Fault(**orjson.loads(await request.read())))
        except (TypeError, ValueError) as error:
            return _json({"error": str(error)}, status=400)
        return _json({"id": number}, status=201)

    async def delete_faults(request: web.Request) -> web.Response:
        try:
            return _json({"cleared": node.faults.clear(request.query.get("kind"))})
        except ValueError as error:
            return _json({"error": str(error)}, status=400)

    return [
        web.get("/counters", get_counters),
        web.get("/markets", get_markets),
        web.get("/faults", get_faults),
        web.post("/faults", post_fault),
        web.delete("/faults", delete_faults),
    ]
