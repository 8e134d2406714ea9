"""``drift-bus simulate --program``: which program lives on the simulated node."""

from __future__ import annotations

import json

import aiohttp
import pytest

from drift_simulator.programs import program_named
from tests.cli.support import drift_bus, started


@pytest.mark.parametrize(
    ("arguments", "program", "perps"),
    [((), "drift-v2", 21), (("--program", "velocity-v1"), "velocity-v1", 5)],
)
async def test_the_chosen_program_lives_on_the_node(arguments: tuple[str, ...], program: str, perps: int) -> None:
    async with started("simulate", "--port", "0", "--json", *arguments) as process:
        assert process.stdout is not None
        told = json.loads(await process.stdout.readline())
        assert (told["cluster"], told["program"]) == ("simulated", program)
        async with aiohttp.ClientSession() as session:
            async with session.get(told["http_url"] + "/markets") as answer:
                markets = await answer.json()
            state = str(program_named(program).state_address)
            call = {"jsonrpc": "2.0", "id": 1, "method": "getAccountInfo", "params": [state, {"encoding": "base64"}]}
            async with session.post(told["http_url"], json=call) as answer:
                account = (await answer.json())["result"]["value"]
    assert len([one for one in markets if one["market_type"] == "perp"]) == perps
    assert account["owner"] == str(program_named(program).program_id)


async def test_it_says_in_words_what_lives_there() -> None:
    arguments = ("simulate", "--port", "0", "--program", "velocity-v1")
    done = await drift_bus(*arguments, interrupt_after_line="Use it")
    assert (done.status, done.stderr) == (0, "")
    assert "with Velocity accounts" in done.stdout


async def test_an_unknown_program_is_refused_with_those_that_there_are() -> None:
    done = await drift_bus("simulate", "--program", "velocity")
    assert done.status == 2
    assert "program 'velocity' is unknown: choose drift-v2 or velocity-v1" in done.complaint


async def test_a_capture_has_its_own_program() -> None:
    done = await drift_bus("simulate", "--capture", "a.zst", "--program", "velocity-v1")
    assert done.status == 2
    assert "--program cannot be used here: a capture has its own" in done.complaint
