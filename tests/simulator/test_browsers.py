"""A page in a browser may ask the node: OPTIONS and CORS as Agave's HTTP server has them."""

from __future__ import annotations

import orjson
import pytest

from .conftest import Client

PAGE = "https://app.example.com"
BODY = orjson.dumps({"jsonrpc": "2.0", "id": 1, "method": "getHealth"})


async def test_a_page_asks_first_and_is_let_in(client: Client) -> None:
    url = f"{client.simulator.http_url}/any-key"
    asks = {
        "Origin": PAGE,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type,solana-client",
    }
    async with client.session.options(url, headers=asks) as answer:
        assert (answer.status, await answer.read()) == (200, b"")
        assert answer.headers["Allow"] == answer.headers["Access-Control-Allow-Methods"] == "OPTIONS, POST"
        assert answer.headers["Access-Control-Allow-Origin"] == PAGE
        assert answer.headers["Access-Control-Allow-Headers"] == "content-type, solana-client"
        assert answer.headers["Access-Control-Max-Age"] == "86400"
        assert answer.headers["Vary"] == "origin"
    async with client.session.post(url, data=BODY, headers={"Origin": PAGE}) as answer:
        assert answer.headers["Access-Control-Allow-Origin"] == PAGE
        assert (await answer.json())["result"] == "ok"


async def test_who_is_no_page_gets_no_such_headers(client: Client) -> None:
    url = client.simulator.http_url
    for headers in ({}, {"Origin": url}):  # a page of the same host asks nobody
        async with client.session.post(url, data=BODY, headers=headers) as answer:
            assert answer.status == 200
            assert not [name for name in answer.headers if name.startswith("Access-Control")]


@pytest.mark.parametrize("method", ["POST", "OPTIONS"])
async def test_a_page_without_an_origin_is_refused(client: Client, method: str) -> None:
    async with client.session.request(
        method, client.simulator.http_url, data=BODY, headers={"Origin": "null"}
    ) as answer:
        assert answer.status == 403
        assert "Origin of the request is not whitelisted" in await answer.text()
        assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_other_methods_are_refused_by_name(client: Client, method: str) -> None:
    async with client.session.request(method, client.simulator.http_url) as answer:
        assert answer.status == 405
        assert await answer.text() == "Used HTTP Method is not allowed. POST or OPTIONS is required\n"


async def test_no_page_reaches_the_simulations_own_doors(client: Client) -> None:
    async with client.session.get(f"{client.simulator.http_url}/faults", headers={"Origin": PAGE}) as answer:
        assert answer.status == 200
        assert "Access-Control-Allow-Origin" not in answer.headers
