"""The hosted side of ``drift-bus reconcile``: answers that are none, shapes, units, and where a tolerance ends."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drift_bus.errors import CommandError, UsageProblem
from drift_bus.reconcile.comparison import Comparison, Tolerances, compare
from drift_bus.reconcile.figures import FIELDS, Field, MarketFigures, bus_funding, funding_cash_flow_percent
from drift_bus.reconcile.hosted import ask, stats_url
from drift_bus.reconcile.numbers import exact, plain, signed
from drift_bus.reconcile.shape import WrongShape, read_answer
from tests.cli.support import funding
from tests.cli.support_hosted import HostedApi, perp, stats

CANARY = "c4n4ryc4n4ryc4n4ry"
TOLERANCES = Tolerances(
    price_bps=Decimal(20), mark_bps=Decimal(100), open_interest_bps=Decimal(50), funding=Decimal("0.0002")
)


@pytest.fixture
async def api(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[HostedApi]:
    monkeypatch.setenv("NO_PROXY", "*")
    async with HostedApi.running() as running:
        yield running


async def refusal(api: HostedApi, *, timeout_s: float = 60.0) -> str:
    """What the user reads when the answer cannot be used."""
    with pytest.raises(CommandError) as caught:
        await ask(stats_url(f"{api.url}/{CANARY}?api-key={CANARY}"), timeout_s=timeout_s)
    assert CANARY not in str(caught.value)
    assert str(caught.value).startswith(api.url)
    return str(caught.value)


# --- the way there ----------------------------------------------------------------------------------------------------


async def test_an_answer_brings_its_perp_markets(api: HostedApi) -> None:
    answer = await ask(stats_url(api.url), timeout_s=60)

    assert api.asked == ["/stats/markets"]
    assert list(answer.hosted.markets) == ["SOL-PERP"], "spot markets stand in the same array"
    assert (answer.hosted.remarks, answer.where) == ((), api.url)
    assert answer.took_s > 0


@pytest.mark.parametrize(
    ("status", "headers", "told"),
    [
        (429, {"Retry-After": "30"}, "HTTP 429 (too many requests): try again in 30 s"),
        (429, {"Retry-After": "soon"}, "HTTP 429 (too many requests): try again later"),
        (500, {}, "HTTP 500: the fault is on its side"),
        (503, {}, "HTTP 503: the fault is on its side"),
        (401, {}, "HTTP 401: a key is needed or wrong"),
        (404, {}, "HTTP 404: there is no /stats/markets there"),
        (204, {}, "HTTP 204: not what was asked for"),
    ],
)
async def test_any_other_status_is_told_with_its_meaning(
    status: int, headers: dict[str, str], told: str, api: HostedApi
) -> None:
    api.status, api.headers = status, headers
    api.body = b""

    assert told in await refusal(api)


@pytest.mark.parametrize(
    ("location", "named"),
    [
        ("file:///etc/hostname", "a file: address"),
        (f"https://elsewhere.example/{CANARY}", "https://elsewhere.example"),
        ("/other", "another path"),
    ],
)
async def test_a_redirect_is_named_and_not_followed(location: str, named: str, api: HostedApi) -> None:
    api.status, api.headers, api.body = 302, {"Location": location}, b""

    told = await refusal(api)

    assert f"redirect to {named}: name the last address with --against" in told
    assert len(api.asked) == 1


@pytest.mark.parametrize("hangs", ["begin", "middle"])
async def test_an_answer_that_does_not_end_is_given_up(hangs: str, api: HostedApi) -> None:
    api.hangs = hangs

    assert "gave no whole answer within 0.5 s: try a larger --timeout" in await refusal(api, timeout_s=0.5)


async def test_an_answer_that_is_far_too_large_is_given_up(api: HostedApi) -> None:
    api.body = b" " * (9 * 1024 * 1024)

    assert "more than 8 MiB" in await refusal(api)


async def test_garbage_is_told_with_its_beginning(api: HostedApi) -> None:
    api.body = b"<html>\x1b[31mwelcome"

    told = await refusal(api)

    assert "answers, but not as /stats/markets should: the answer is no JSON: JSONDecodeError" in told
    assert "<html>\\x1b[31m" in told, "control characters are shown, not sent to the terminal"


async def test_without_its_library_the_command_says_what_to_install(
    api: HostedApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "httpx", None)

    with pytest.raises(CommandError, match=r"pip install 'drift-bus\[cli\]'"):
        await ask(stats_url(api.url), timeout_s=60)


@pytest.mark.parametrize(
    ("given_url", "asked"),
    [
        ("https://data.example", "https://data.example/stats/markets"),
        ("https://data.example/", "https://data.example/stats/markets"),
        ("data.example:8443", "https://data.example:8443/stats/markets"),
        ("http://127.0.0.1:1/stats/markets/", "http://127.0.0.1:1/stats/markets"),
        ("https://h/base?key=1#part", "https://h/base/stats/markets?key=1"),
    ],
)
def test_a_host_is_enough(given_url: str, asked: str) -> None:
    assert stats_url(given_url) == asked


@pytest.mark.parametrize("wrong", ["", "file:///etc/passwd", "ftp://h", "https://", "http://h:port", "https://a b"])
def test_an_address_that_is_none_is_a_usage_problem(wrong: str) -> None:
    with pytest.raises(UsageProblem, match=r"--against: .*write https://HOST"):
        stats_url(wrong)


# --- the shape --------------------------------------------------------------------------------------------------------


def test_every_field_is_read_in_its_unit() -> None:
    """Figures of 2026-09-02: the short side of the open interest is negative there, and a size here."""
    captured = perp(
        oraclePrice="99.642107", markPrice="99.854000", openInterest={"long": "110.49", "short": "-11.42"},
        fundingRate={"long": "-0.007591", "short": "0.007591"},
    )  # fmt: skip

    found = read_answer(stats(captured)).markets["SOL-PERP"]

    assert found.values == {
        "oracle_price": Decimal("99.642107"),
        "mark_price": Decimal("99.854"),
        "open_interest_long": Decimal("110.49"),
        "open_interest_short": Decimal("11.42"),
        "funding_long": Decimal("-0.007591"),
        "funding_short": Decimal("0.007591"),
    }
    assert (found.index, found.funding_settled_ts) == (0, 1_788_386_414)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"success": False, "message": "closed"}, "it says success: false, 'closed'"),
        ({"success": True}, "markets is missing; there are 'success'"),
        ({"success": True, "markets": {}}, "markets is an object, not an array"),
        ("nothing", "markets is a text, not an array"),
        ([1], "markets[0] is a number, not an object"),
        ([{"symbol": "X"}], "markets[0].marketType is missing"),
        ([{"marketType": "perp"}], "markets[0].symbol is missing"),
        ([perp("EVIL\x1b[2J")], "markets[0].symbol is 'EVIL\\x1b[2J', not a name"),
        ([perp(), perp()], "markets[1] (SOL-PERP).symbol is there twice"),
        ([perp(oraclePrice="dear")], "markets[0] (SOL-PERP).oraclePrice is 'dear', not a number"),
        ([perp(oraclePrice=True)], "markets[0] (SOL-PERP).oraclePrice is 'True', not a number"),
        ([perp(markPrice="NaN")], "markets[0] (SOL-PERP).markPrice is 'NaN', not a number"),
        ([perp(markPrice="1e999999999")], "markets[0] (SOL-PERP).markPrice is '1e999999999', not a number"),
        ([perp(fundingRate={"long": [], "short": "0"})], "(SOL-PERP).fundingRate.long is '[]', not a number"),
        ([perp(openInterest="much")], "(SOL-PERP).openInterest is 'much', not a number"),
        ([perp(index=-1)], "(SOL-PERP).marketIndex is -1, not a whole number"),
    ],
)
def test_a_wrong_shape_names_the_field(body: Any, told: str) -> None:
    with pytest.raises(WrongShape) as caught:
        read_answer(json.dumps(body).encode())

    assert told in str(caught.value)


@pytest.mark.parametrize("body", [b"", b"{", b"[NaN]", b"[" * 100_000, b"\xff\xfe", b"[" + b"9" * 5000 + b"]"])
def test_what_is_no_json_never_ends_in_anything_else(body: bytes) -> None:
    with pytest.raises(WrongShape):
        read_answer(body)


@settings(deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(["success", "markets", "symbol", "marketType", "openInterest", "fundingRate", "long"]),
                inner,
            )
        ),
    )
)
def test_any_json_is_read_or_refused_by_name(value: Any) -> None:  # fmt: skip
    try:
        read_answer(json.dumps(value).encode())
    except WrongShape as error:
        assert str(error).isprintable()


# --- units and tolerances ---------------------------------------------------------------------------------------------


def test_the_floor_of_velocity_is_what_the_hosted_api_shows_for_a_flat_market() -> None:
    """1/3333 of the price a day: the offset of the program, 0.00125 % an hour, paid by longs."""
    oracle_twap = 81_364_848
    rate = oracle_twap // 3333 * 1000 // 24

    long = funding_cash_flow_percent(rate=rate, oracle_twap=oracle_twap, funding_period=3600, is_long=True)
    short = funding_cash_flow_percent(rate=rate, oracle_twap=oracle_twap, funding_period=3600, is_long=False)

    assert long is not None
    assert short is not None
    assert (round(long, 5), round(short, 5)) == (Decimal("-0.00125"), Decimal("0.00125"))


@settings(deadline=None)
@given(st.integers(10**5, 10**12), st.fractions(-1, 1), st.sampled_from([1, 4, 8]))
def test_the_rate_of_the_chain_and_the_percentage_of_the_hosted_api_are_the_same_thing(
    oracle_twap: int, part: Fraction, hours: int
) -> None:
    """The program's and the service's arithmetic, each with its own truncation, from one premium within the cap.

    The program pays by periods of ``hours``; the service divides the day by 24 whatever the period.
    """
    premium = int(part * (oracle_twap // 33))
    rate = _truncated(premium * 1000, 24 // hours)
    period = hours * 3600
    paid = Decimal(_truncated(_truncated(premium * 10**6 * 100, oracle_twap), 24)).scaleb(-6)

    long = funding_cash_flow_percent(rate=rate, oracle_twap=oracle_twap, funding_period=period, is_long=True)
    short = funding_cash_flow_percent(rate=rate, oracle_twap=oracle_twap, funding_period=period, is_long=False)

    assert long is not None
    assert short is not None
    assert abs(long + paid) < Decimal("0.000003")
    assert abs(short - paid) < Decimal("0.000003")


def _truncated(value: int, by: int) -> int:
    return abs(value) // by * (1 if value >= 0 else -1)


def test_funding_of_the_bus_is_absent_where_there_is_nothing_to_divide_by() -> None:
    none: dict[Field, Decimal | None] = {"funding_long": None, "funding_short": None}

    assert bus_funding(funding(oracle_twap_at_funding=0), "settled") == none
    for period in (0, -3600, 86_401):
        assert bus_funding(funding(funding_period=period), "settled") == none
        assert bus_funding(funding(funding_period=period), "estimated") == none
    assert (
        bus_funding(funding(estimated_funding_rate_long=None, estimated_funding_rate_short=None), "estimated") == none
    )


def test_a_tolerance_is_met_at_its_edge_and_missed_beyond_it() -> None:
    def verdict(bus: str, hosted: str, limit: str, *, is_relative: bool) -> str:
        return Comparison("X", "oracle_price", Decimal(bus), Decimal(hosted), Decimal(limit), is_relative).verdict

    assert verdict("100.2", "100", "20", is_relative=True) == "agrees"
    assert verdict("100.200000000000000000000000000001", "100", "20", is_relative=True) == "differs"
    assert verdict("-100.2", "-100", "20", is_relative=True) == "agrees"
    assert verdict("0", "0", "0", is_relative=True) == "agrees"
    assert verdict("0.000000001", "0", "10000", is_relative=True) == "differs"
    assert verdict("0.00145", "0.00125", "0.0002", is_relative=False) == "agrees"
    assert verdict("0.001450000001", "0.00125", "0.0002", is_relative=False) == "differs"


def test_a_dead_market_and_the_live_one_of_its_name_are_told_apart_by_index() -> None:
    """The hosted API may list both under the chain's name; on the bus the dead one goes by its index."""

    def figures(name: str, index: int) -> MarketFigures:
        return MarketFigures(name, index, dict.fromkeys(FIELDS, Decimal(index)), None)

    ours = {"SOL-PERP": figures("SOL-PERP", 82), "SOL-PERP_p81": figures("SOL-PERP_p81", 81)}
    for body in ([perp(index=81), perp(index=82)], [perp(index=82), perp(index=81)]):
        read = read_answer(json.dumps(body).encode()).markets
        theirs = {name: figures(found.market, found.index or 0) for name, found in read.items()}
        result = compare(ours, theirs, TOLERANCES)
        assert result.agrees
        assert [(one.bus.market, one.hosted.index) for one in result.markets] == [
            ("SOL-PERP_p81", 81),
            ("SOL-PERP", 82),
        ]
        alone = compare({"SOL-PERP": ours["SOL-PERP"]}, theirs, TOLERANCES)
        assert (len(alone.markets), alone.only_hosted) == (1, ("SOL-PERP_p81",))
        assert not alone.agrees


def test_a_name_that_stands_for_two_markets_is_a_difference() -> None:
    values = dict.fromkeys(FIELDS, Decimal(1))
    ours, theirs = (MarketFigures("ZEC-PERP", index, values, None) for index in (4, 5))

    result = compare({"ZEC-PERP": ours}, {"ZEC-PERP": theirs}, TOLERANCES)

    assert not result.agrees
    assert result.markets[0].index_differs


def test_numbers_are_plain_text() -> None:
    assert [exact(Decimal(text)) for text in ("1E+3", "0.0000010", "-0", "1E-13")] == ["1000", "0.000001", "0", "0"]
    assert (exact(None), plain(None), signed(None)) == (None, "–", "–")
    assert [plain(Decimal(text)) for text in ("1234567.5", "0.00125000", "1E+29")] == [
        "1,234,567.5", "0.00125", f"{10**29:,}",
    ]  # fmt: skip
    assert [signed(Decimal(text)) for text in ("3000", "-0.5", "0", "-1E-9")] == ["+3,000", "-0.5", "0", "-0"]
