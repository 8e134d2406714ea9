"""A day of funding from an export: a DuckDB query on stdout, and a plot of some markets as a PNG.

    drift-bus export funding --kind funding
    python examples/funding_history.py funding --markets SOL-PERP BTC-PERP ETH-PERP --png funding.png

Needs DuckDB, pandas and matplotlib: extra ``examples``.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import duckdb
import matplotlib as mpl
import pandas as pd

mpl.use("Agg")
from matplotlib import pyplot as plt

# The chain's integers: a rate in 1e-9 quote per base and funding period, a TWAP in 1e-6 quote per base. Their ratio is
# the fraction of the price that longs pay shorts in a period; over the period's hours it is that of an hour.
RATES = """
    select
        market,
        stream_time,
        100 * (funding_rate / 1e9) / (oracle_twap_at_funding / 1e6) * 3600 / funding_period as percent_per_hour
    from read_parquet($files)
    where list_contains($markets, market) and day = $day
      and oracle_twap_at_funding > 0 and funding_period between 1 and 86400
    order by market, sequence
"""
SUMMARY = """
    select market, count(*), min(percent_per_hour), avg(percent_per_hour), max(percent_per_hour),
           last(percent_per_hour) * 24 * 365.25
    from rates group by market order by market
"""


def rates_of(export: Path, markets: list[str], day: str | None) -> tuple[pd.DataFrame, list[tuple[object, ...]]]:
    """The settled rates of a day, event by event, and a line a market: events, least, mean, most, APR."""
    files = f"{export}/kind=funding/**/*.parquet"
    with duckdb.connect() as db:
        if day is None:
            newest = db.execute("select max(day)::varchar from read_parquet($files)", {"files": files}).fetchone()
            day = str(newest[0]) if newest else ""
        rates = db.execute(RATES, {"files": files, "markets": markets, "day": day}).df()
        db.register("rates", rates)
        return rates, db.execute(SUMMARY).fetchall()


def plot(rates: pd.DataFrame, png: Path) -> None:
    """Draws the rates over the day, a step for every settlement."""
    figure, axes = plt.subplots(figsize=(10, 4), layout="constrained")
    for market, of_market in rates.groupby("market"):
        axes.step(of_market["stream_time"], of_market["percent_per_hour"], where="post", label=market)
    axes.axhline(0, color="grey", linewidth=0.8)
    axes.set(title="Funding: longs pay shorts where it is above zero", xlabel="UTC", ylabel="% of price per hour")
    axes.legend()
    figure.savefig(png, dpi=120)


def main() -> int:
    """Returns 1 where the export holds none of it."""
    parser = argparse.ArgumentParser(description="A day of funding from an export.")
    parser.add_argument("export", type=Path, help="the folder that drift-bus export wrote")
    parser.add_argument("--markets", nargs="+", default=["SOL-PERP", "BTC-PERP", "ETH-PERP"])
    parser.add_argument("--day", help="UTC, such as 2026-11-21; by default the last one in the export")
    parser.add_argument("--png", type=Path, default=Path("funding.png"))
    options = parser.parse_args()
    try:
        rates, summary = rates_of(options.export, options.markets, options.day)
    except duckdb.IOException:
        sys.stderr.write(f"no funding in {options.export}: drift-bus export {options.export} --kind funding\n")
        return 1
    if rates.empty:
        sys.stderr.write(f"nothing of {', '.join(options.markets)} on that day in {options.export}\n")
        return 1
    print(f"{'market':12} {'events':>7} {'least %/h':>11} {'mean %/h':>11} {'most %/h':>11} {'APR %':>9}")
    for market, events, least, mean, most, apr in summary:
        print(f"{market:12} {events:7} {least:+11.6f} {mean:+11.6f} {most:+11.6f} {apr:+9.2f}")
    plot(rates, options.png)
    print(f"plot: {options.png}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
