"""``drift-bus reconcile``: the bus of a real server beside a hosted API on a real socket."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from drift_bus.nats_server import LocalNatsServer
from tests.cli.support import Bus, Finished, drift_bus, drift_bus_anew, funding, market, price, spot
from tests.cli.support_hosted import HostedApi, fresh_on_bus, perp, stats

SOL = (funding(), price(), market())
BTC = (funding("BTC-PERP", 1), price("BTC-PERP", 1), market("BTC-PERP", 1))
CANARY = "c4n4ryc4n4ryc4n4ry"


async def reconcile(server: LocalNatsServer, url: str, *arguments: str) -> Finished:
    return await drift_bus(
        "reconcile", "--against", url, "--nats-url", server.url, "--timeout", "60", *arguments, NO_PROXY="*"
    )


def figures(report: dict[str, Any], name: str = "SOL-PERP") -> dict[str, dict[str, Any]]:
    """The fields of one market by name."""
    [found] = [one for one in report["markets"] if one["market"] == name]
    return {one["field"]: one for one in found["fields"]}


async def test_both_agree(nats_server: LocalNatsServer) -> None:
    """Long receives what the estimate says that longs receive; the hosted short side is negative, ours is a size."""
    async with HostedApi.running() as api, fresh_on_bus(nats_server.url, *SOL, *BTC, price("SOL", 1, "spot"), spot()):
        api.body = stats(perp(), perp("BTC-PERP", 1))
        done = await reconcile(nats_server, api.url)
        everything = await reconcile(nats_server, f"{api.url}/stats/markets", "--all")

    assert done.status == 0
    assert api.asked == ["/stats/markets", "/stats/markets"]
    for text in ("drift-v2 on simulated", "350,000,123", "SIMULATED", "2 markets on both", "the bus agrees"):
        assert text in done.stdout
    assert "BTC-PERP  " not in done.stdout.partition("Verdict")[2].partition("Verdict")[2], "only with --all"
    assert (everything.status, everything.stdout.count("agrees")) == (0, 6 + 2 * 6 + 1)
    for figure in ("0.005", "-0.005", "123,000", "120,000", "150.15"):
        assert figure in everything.stdout


async def test_a_flipped_sign_of_funding_is_found_and_told_by_side(nats_server: LocalNatsServer) -> None:
    async with HostedApi.running() as api, fresh_on_bus(nats_server.url, *SOL):
        api.body = stats(perp(fundingRate={"long": "-0.005", "short": "0.005"}))
        done = await reconcile(nats_server, api.url, "--json")

    [report] = done.objects
    assert done.status == 1
    of_field = figures(report)
    assert [name for name, one in of_field.items() if one["verdict"] == "differs"] == ["funding_long", "funding_short"]
    long = of_field["funding_long"]
    assert (long["bus"], long["hosted"], long["difference"], long["relative_bps"]) == (
        "0.005", "-0.005", "0.01", "20000",
    )  # fmt: skip
    assert of_field["funding_short"]["difference"] == "-0.01"
    assert "the bus carries SIMULATED data" in done.complaint


async def test_the_settled_funding_can_be_compared_in_place_of_the_estimate(nats_server: LocalNatsServer) -> None:
    settled = perp(fundingRate={"long": "-0.010000", "short": "0.010000"})
    async with HostedApi.running() as api, fresh_on_bus(nats_server.url, *SOL):
        api.body = stats(settled)
        done = await reconcile(nats_server, api.url, "--funding", "settled", "--json")

    assert done.status == 0
    assert figures(done.objects[0])["funding_long"]["bus"] == "-0.01"


async def test_json_has_the_whole_comparison(nats_server: LocalNatsServer) -> None:
    async with HostedApi.running() as api, fresh_on_bus(nats_server.url, *SOL):
        api.body = stats(perp(openInterest={"long": "120000", "short": "-120000"}, oraclePrice="148.5"))
        done = await reconcile(nats_server, api.url, "--json", "--price-tolerance-bps", "101.1")

    [report] = done.objects
    assert done.status == 1
    assert set(report) == {
        "verdict", "against", "received_at_ns", "took_s", "prefix", "programs", "clusters", "simulated",
        "funding_basis", "only_on_bus", "only_hosted", "fields", "markets", "warnings",
    }  # fmt: skip
    assert (report["verdict"], report["against"], report["prefix"]) == ("differs", api.url, "drift")
    assert (report["programs"], report["clusters"], report["simulated"]) == (["drift-v2"], ["simulated"], True)
    summary = {one["field"]: one for one in report["fields"]}
    assert summary["open_interest_long"] == {
        "field": "open_interest_long", "compared": 1, "differing": 1, "absent": 0, "largest_difference": "3000",
        "largest_relative_bps": "250", "largest_market": "SOL-PERP", "tolerance": "50", "tolerance_unit": "bps",
        "verdict": "differs",
    }  # fmt: skip
    oracle = figures(report)["oracle_price"]
    assert 0 <= oracle.pop("age_s") < 60
    assert Decimal(oracle.pop("relative_bps")) == Decimal("101.010101010101")
    assert oracle == {
        "field": "oracle_price", "unit": "quote per base", "bus": "150", "hosted": "148.5", "difference": "1.5",
        "verdict": "agrees", "absent_on": None, "slot": 350_000_123,
    }  # fmt: skip
    assert report["markets"][0]["funding_settled_ts"]["hosted"] == 1_788_386_414


async def test_a_market_on_one_side_only_is_named_and_is_a_difference(nats_server: LocalNatsServer) -> None:
    async with HostedApi.running() as api, fresh_on_bus(nats_server.url, *SOL, *BTC):
        api.body = stats(perp(), perp("HYPE-PERP", 3), perp("ZEC-PERP", 4))
        done = await reconcile(nats_server, api.url)
        chosen = await reconcile(nats_server, api.url, "--market", "SOL-PERP", "--json")
        unknown = await reconcile(nats_server, api.url, "--market", "DOGE-PERP")

    assert done.status == 1
    assert "only on the bus: BTC-PERP" in done.stdout
    assert "only on the hosted API: HYPE-PERP, ZEC-PERP" in done.stdout
    assert chosen.status == 0
    assert (chosen.objects[0]["only_on_bus"], chosen.objects[0]["only_hosted"]) == ([], [])
    assert unknown.status == 2
    assert "neither side has it; there are BTC-PERP, HYPE-PERP, SOL-PERP, ZEC-PERP" in unknown.complaint


async def test_what_a_side_lacks_is_absent_and_never_zero(nats_server: LocalNatsServer) -> None:
    """What the bus lacks speaks against it; what the hosted API lacks cannot be compared."""
    blind = price("BTC-PERP", 1, oracle_price=None, bid_price=None, ask_price=None, mark_price=None)
    async with HostedApi.running() as api, fresh_on_bus(nats_server.url, *SOL, blind, market("BTC-PERP", 1)):
        api.body = stats(perp(markPrice="", fundingRate={"long": "", "short": ""}), perp("BTC-PERP", 1))
        sol = await reconcile(nats_server, api.url, "--json", "--market", "SOL-PERP")
        both = await reconcile(nats_server, api.url)

    assert sol.status == 0
    of_field = figures(sol.objects[0])
    for name in ("mark_price", "funding_long", "funding_short"):
        assert (of_field[name]["verdict"], of_field[name]["absent_on"]) == ("absent", "hosted")
        assert (of_field[name]["hosted"], of_field[name]["difference"]) == (None, None)
    assert "the hosted API has no fundingRate.long: SOL-PERP" in sol.objects[0]["warnings"]
    assert both.status == 1
    assert both.stdout.count("absent on the bus") == 4, "oracle, mark, and funding without an event"


async def test_nothing_to_compare_is_no_agreement(nats_server: LocalNatsServer) -> None:
    """The shape of the published documentation: one number for both sides, of which no unit is told."""
    older: dict[str, Any] = {
        "marketIndex": 0, "symbol": "SOL-PERP", "marketType": "perp", "oraclePrice": 150.0, "volume24h": 50000000.0,
        "openInterest": 12000000.0, "fundingRate": 0.00012, "fundingRate24hAvg": 0.0001, "status": "active",
    }  # fmt: skip
    async with HostedApi.running() as api, fresh_on_bus(nats_server.url, *SOL):
        api.body = json.dumps([older]).encode()
        done = await reconcile(nats_server, api.url)
        del older["oraclePrice"]
        api.body = json.dumps([older]).encode()
        nothing = await reconcile(nats_server, api.url)

    assert done.status == 0, "the oracle price agrees, and the rest is named"
    for remark in (
        "hosted fundingRate is one number, not {long, short}: not compared: SOL-PERP",
        "hosted openInterest is one number, not {long, short}: not compared: SOL-PERP",
        "the hosted API has no markPrice: SOL-PERP",
    ):
        assert remark in done.stdout
    assert nothing.status == 1
    assert "nothing could be compared" in nothing.stdout


async def test_a_side_that_cannot_be_read_is_status_2(nats_server: LocalNatsServer) -> None:
    async with HostedApi.running() as api:
        no_bus = await reconcile(nats_server, api.url)
        async with Bus.on(nats_server.url):
            empty = await reconcile(nats_server, api.url)
        api.status = 429
        throttled = await reconcile(nats_server, api.url)
    gone = await reconcile(nats_server, api.url)

    assert [done.status for done in (no_bus, empty, throttled, gone)] == [2] * 4
    assert "no bucket drift_funding on this server" in no_bus.complaint
    assert "no fresh perp market on the bus 'drift': is a publisher running?" in empty.complaint
    assert "HTTP 429 (too many requests): try again later" in throttled.complaint
    assert f"{api.url} cannot be reached" in gone.complaint


async def test_a_key_in_the_url_is_sent_and_never_shown(nats_server: LocalNatsServer) -> None:
    async with HostedApi.running() as api, fresh_on_bus(nats_server.url, *SOL):
        url = f"{api.url}/v1/{CANARY}?api-key=K{CANARY}"
        shown = await reconcile(nats_server, url)
        as_json = await reconcile(nats_server, url, "--json")
        api.body = json.dumps({"success": False, "message": f"the key K{CANARY} has expired"}).encode()
        refused = await drift_bus(
            "--debug", "reconcile", "--against", url, "--nats-url", nats_server.url, NO_PROXY="*"
        )  # fmt: skip

    assert api.asked == [f"/v1/{CANARY}/stats/markets?api-key=K{CANARY}"] * 3
    assert (shown.status, as_json.status, refused.status) == (0, 0, 2)
    assert "success: false" in refused.stderr
    for done in (shown, as_json, refused):
        assert CANARY not in done.stdout + done.stderr


async def test_wrong_options_are_told_before_anything_is_asked(nats_server: LocalNatsServer) -> None:
    async with HostedApi.running() as api:
        scheme = await reconcile(nats_server, "file:///etc/hostname")
        tolerance = await reconcile(nats_server, api.url, "--funding-tolerance", "nan")

    assert (scheme.status, tolerance.status, api.asked) == (2, 2, [])
    assert "--against: file:// is not possible here (https, http)" in scheme.complaint
    assert "--funding-tolerance 'nan': give a number from 0" in tolerance.complaint


async def test_an_interrupt_ends_the_wait_for_the_hosted_api(nats_server: LocalNatsServer) -> None:
    async with HostedApi.running() as api:
        api.hangs = "begin"
        done = await drift_bus_anew(
            "reconcile", "--against", api.url, "--nats-url", nats_server.url, "--timeout", "100",
            interrupt_after_line="asking", NO_PROXY="*",
        )  # fmt: skip

    assert (done.status, done.stdout) == (130, "")
    assert "Traceback" not in done.stderr
