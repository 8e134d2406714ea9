"""``drift-bus simulate --program``: which program lives on the simulated node."""

from __future__ import annotations

import json
from pathlib import Path

import aiohttp
import pytest

from drift_simulator.programs import program_named
from tests.cli.support import drift_bus, started
from tests.support.captures import steps_of_a_cluster, write_capture


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


@pytest.mark.parametrize(
    ("named", "title", "use"), [("drift-v2", "Drift", ""), ("velocity-v1", "Velocity", " --program velocity-v1")]
)
async def test_it_says_in_words_what_lives_there_and_how_to_use_it(named: str, title: str, use: str) -> None:
    done = await drift_bus("simulate", "--port", "0", "--program", named, interrupt_after_line="Use it")
    assert (done.status, done.stderr) == (0, "")
    assert f"with {title} accounts" in done.stdout
    assert done.stdout.splitlines()[-1].endswith(f" --cluster simulated{use}")


async def test_an_unknown_program_is_refused_with_those_that_there_are() -> None:
    done = await drift_bus("simulate", "--program", "velocity")
    assert done.status == 2
    assert "program 'velocity' is unknown: choose drift-v2 or velocity-v1" in done.complaint


async def test_a_capture_has_its_own_program(program: str, tmp_path: Path) -> None:
    steps, address = steps_of_a_cluster(4, program=program), str(program_named(program).program_id)
    path = write_capture(tmp_path / "a.zst", steps, program=program, program_id=address)
    done = await drift_bus("simulate", "--port", "0", "--capture", str(path), interrupt_after_line="Use it")
    assert (done.status, done.stderr) == (0, "")
    assert f"a capture of {program} on mainnet-beta of 2023-11-14" in done.stdout
    assert ("--program velocity-v1" in done.stdout) is (program == "velocity-v1")


async def test_no_other_program_can_be_wished_of_a_capture() -> None:
    done = await drift_bus("simulate", "--capture", "a.zst", "--program", "velocity-v1")
    assert done.status == 2
    assert "--program cannot be used here: a capture has its own" in done.complaint
