"""Makes tickerd/calendar/data/india.json: the trading holidays, hours and special sessions that ship with tickerd.

    python3 -m venv /tmp/cal-venv
    /tmp/cal-venv/bin/pip install exchange-calendars==4.13.2     # brings pandas: a development tool only
    /tmp/cal-venv/bin/python tools/make_calendar.py              # writes the file
    /tmp/cal-venv/bin/python tools/make_calendar.py --check      # or says how it would differ

The equity holidays come from exchange-calendars (its calendar XBOM). Everything else is kept by hand below, because
no package has it: names, special sessions, what changed after the package was made, the hours, MCX and currency.
To go on for a year: raise YEARS, add the names and the other rows of that year with their source, raise VERSION,
run this, read the difference, run the tests.
"""

import argparse
import json
import sys
from datetime import date, timedelta
from pathlib import Path
from typing import Any

OUTPUT = Path(__file__).resolve().parent.parent / "tickerd" / "calendar" / "data" / "india.json"

VERSION = "2026.2"
YEARS = (2025, 2026)
"""First and last year of the equity holidays; XBOM ends with 2026."""

EQUITY = ["NSE", "BSE", "NFO", "BFO"]
CURRENCY = ["CDS", "BCD"]
COMMODITY = ["MCX", "NCO"]
ALL = [*EQUITY, *CURRENCY, *COMMODITY]

SOURCES = {
    "xbom": "exchange-calendars 4.13.2, XBOM",
    "nse-2026": "NSE's holiday list for 2026 (NSE/CMTR/71775 and NSE/FAOP/71777 of 2025-12-12), from published copies",
    "nse-2025-02-01": "NSE and BSE announcements of 2024-12-25: a Saturday with regular hours, not in XBOM's sessions",
    "nse-2026-02-01": "NSE and BSE circulars of 2026-01-16: a Sunday with regular hours, not in XBOM",
    "nse-muhurat-2025": "NSE circular of 2025-09-22: pre-open 13:30, trading 13:45 to 14:45",
    "nse-hours": "NSE, market timings: 09:15 to 15:30, pre-open 09:00, closing session to 16:00; since 2010-10-18",
    "nse-futures-pre-open": "NSE: pre-open for futures, 09:00 to 09:15 from 2025-12-08",
    "sebi-cas": "SEBI HO/47/11/11(3)2025-MRD-POD2/I/2765/2026 of 2026-01-16: closing auction in the cash segment "
    "15:15 to 15:35, derivatives to 15:40, post-close 15:50 to 16:00; from 2026-08-03",
    "sebi-cas-2": "SEBI HO/47/11/11(3)2025-MRD-POD2/I/23843/2026 of 2026-10-15: closing auction 15:30 to 15:40, "
    "derivatives to 15:45; from 2026-12-07 (second-hand: aion-indian-market-calendar 1.6.0)",
    "nse-currency": "NSE, currency derivatives: 09:00 to 17:00; holidays of 2026 as for clearing",
    "mcx-2026": "MCX's holiday list for 2026, from published copies; its circular of 2026-01-12 for 2026-01-15",
    "mcx-2026-02-01": "MCX circular of 2026-01-16: Sunday of the Union Budget, 09:00 to 17:00",
    "mcx-hours": "MCX's circulars on US daylight saving, twice a year: 09:00 to 23:30, in winter to 23:55; "
    "NSE/COM/76446 of 2026-09-21 says the same for NSE",
}

NAMES = {
    "2025-02-26": "Mahashivratri",
    "2025-03-14": "Holi",
    "2025-03-31": "Id-ul-Fitr",
    "2025-04-10": "Mahavir Jayanti",
    "2025-04-14": "Ambedkar Jayanti",
    "2025-04-18": "Good Friday",
    "2025-05-01": "Maharashtra Day",
    "2025-08-15": "Independence Day",
    "2025-08-27": "Ganesh Chaturthi",
    "2025-10-02": "Gandhi Jayanti",
    "2025-10-21": "Diwali Laxmi Pujan",
    "2025-10-22": "Diwali Balipratipada",
    "2025-11-05": "Guru Nanak Jayanti",
    "2025-12-25": "Christmas",
    "2026-01-15": "Maharashtra municipal elections",
    "2026-01-26": "Republic Day",
    "2026-03-03": "Holi",
    "2026-03-26": "Ram Navami",
    "2026-03-31": "Mahavir Jayanti",
    "2026-04-03": "Good Friday",
    "2026-04-14": "Ambedkar Jayanti",
    "2026-05-01": "Maharashtra Day",
    "2026-05-28": "Bakri Id",
    "2026-06-26": "Muharram",
    "2026-09-14": "Ganesh Chaturthi",
    "2026-10-02": "Gandhi Jayanti",
    "2026-10-20": "Dussehra",
    "2026-11-10": "Diwali Balipratipada",
    "2026-11-24": "Guru Nanak Jayanti",
    "2026-12-25": "Christmas",
}
"""Of every equity holiday on a working day in XBOM; one without a name here stops this script."""

BUDGET = "Union Budget"
MUHURAT = "Diwali Muhurat trading"

CURRENCY_ONLY = {
    "2026-02-19": "Shivaji Jayanti",
    "2026-03-19": "Gudi Padwa",
    "2026-04-01": "Annual bank closing",
    "2026-08-26": "Id-e-Milad",
}
"""On which currency derivatives rest beside the equity holidays."""

MCX_CLOSED = ("2026-01-26", "2026-04-03", "2026-10-02", "2026-12-25")
"""Equity holidays of 2026 on which commodities rest all day; on the others they trade in the evening."""


def day(at: str, exchanges: list[str], name: str, trading: Any, source: str) -> dict[str, Any]:
    """One row of `tickerd.calendar.Day`."""
    return {"date": at, "exchanges": exchanges, "name": name, "trading": trading, "source": source}


def times(opening: str, close: str, **more: str) -> dict[str, str]:
    """One `tickerd.calendar.Times`, with seconds, as its decoder wants them."""
    return {key: f"{at}:00" for key, at in {"open": opening, "close": close, **more}.items()}


def hand_kept() -> list[dict[str, Any]]:
    """What XBOM does not have, or has otherwise."""
    muhurat = times("13:45", "14:45")
    rows = [
        day("2025-02-01", EQUITY, BUDGET, "regular", "nse-2025-02-01"),
        day(
            "2025-10-21",
            ["NSE", "BSE"],
            MUHURAT,
            [times("13:45", "14:45", pre_open="13:30")],
            "nse-muhurat-2025",
        ),
        day("2025-10-21", ["NFO", "BFO"], MUHURAT, [muhurat], "nse-muhurat-2025"),
        day("2026-01-01", COMMODITY, "New Year", "morning", "mcx-2026"),
        day("2026-02-01", EQUITY, BUDGET, "regular", "nse-2026-02-01"),
        day("2026-02-01", COMMODITY, BUDGET, "morning", "mcx-2026-02-01"),
        # whether currency derivatives traded was not found
        day("2026-02-01", CURRENCY, BUDGET, "unknown", "nse-2026-02-01"),
        # announced with the list; its times were to be told later and were not found
        day("2026-11-08", ALL, MUHURAT, "unknown", "nse-2026"),
    ]
    for at, name in NAMES.items():
        if at.startswith("2026"):
            rows.append(day(at, CURRENCY, name, "none", "nse-currency"))
            rows.append(day(at, COMMODITY, name, "none" if at in MCX_CLOSED else "evening", "mcx-2026"))
    rows += [day(at, CURRENCY, name, "none", "nse-currency") for at, name in CURRENCY_ONLY.items()]
    return rows


def hours() -> list[dict[str, Any]]:
    """Regular hours; of several rows for an exchange, the last that covers a day holds."""
    cash, derivatives = ["NSE", "BSE"], ["NFO", "BFO"]
    regular = times("09:15", "15:30", pre_open="09:00", post_close="16:00")
    return [
        {"exchanges": cash, "times": regular, "source": "nse-hours"},
        {
            "exchanges": cash,
            "since": "2026-08-03",
            "times": times("09:15", "15:35", pre_open="09:00", auction="15:15", post_close="16:00"),
            "source": "sebi-cas",
        },
        {
            "exchanges": cash,
            "since": "2026-12-07",
            "times": times("09:15", "15:40", pre_open="09:00", auction="15:30", post_close="16:00"),
            "source": "sebi-cas-2",
        },
        {"exchanges": derivatives, "times": times("09:15", "15:30"), "source": "nse-hours"},
        {
            "exchanges": derivatives,
            "since": "2025-12-08",
            "times": times("09:15", "15:30", pre_open="09:00"),
            "source": "nse-futures-pre-open",
            "assumption": "that the BSE does as the NSE",
        },
        {
            "exchanges": derivatives,
            "since": "2026-08-03",
            "times": times("09:15", "15:40", pre_open="09:00"),
            "source": "sebi-cas",
        },
        {
            "exchanges": derivatives,
            "since": "2026-12-07",
            "times": times("09:15", "15:45", pre_open="09:00"),
            "source": "sebi-cas-2",
        },
        {
            "exchanges": CURRENCY,
            "times": times("09:00", "17:00"),
            "source": "nse-currency",
            "assumption": "that the BSE does as the NSE",
        },
        {
            "exchanges": COMMODITY,
            "times": times("09:00", "23:30"),
            "split": "17:00:00",
            "us_winter_close": "23:55:00",
            "source": "mcx-hours",
            "assumption": "that the winter hours follow New York's clock in every year, as they did from 2017 to "
            "2026; agricultural contracts stop at 17:00 or 21:00",
        },
    ]


def xbom_holidays() -> dict[str, str]:
    """Equity holidays on working days, by date, with their names."""
    import exchange_calendars  # noqa: PLC0415 - a hundred megabytes that only this needs

    first, last = date(YEARS[0], 1, 1), date(YEARS[1], 12, 31)
    sessions = exchange_calendars.get_calendar("XBOM", start=first.isoformat(), end=last.isoformat()).sessions
    trading = {stamp.date() for stamp in sessions}
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    closed = {one.isoformat() for one in days if one.weekday() < 5 and one not in trading}
    if closed != set(NAMES):
        sys.exit(f"NAMES and XBOM do not agree on {sorted(closed ^ set(NAMES))}: mend NAMES")
    return NAMES


def made() -> dict[str, Any]:
    """The whole file."""
    kept = hand_kept()
    special = {row["date"] for row in kept if set(row["exchanges"]) & set(EQUITY)}
    equity = [
        day(at, EQUITY, name, "none", "xbom") for at, name in xbom_holidays().items() if at not in special
    ]
    rows = sorted([*equity, *kept], key=lambda row: (row["date"], row["exchanges"]))
    last = f"{YEARS[1]}-12-31"
    return {
        "about": "Made by tools/make_calendar.py; do not edit. Times are IST. docs/calendar.md says what it means.",
        "format": 1,
        "version": VERSION,
        "sources": SOURCES,
        "known": [
            {"exchanges": EQUITY, "since": f"{YEARS[0]}-01-01", "until": last},
            {"exchanges": [*CURRENCY, *COMMODITY], "since": "2026-01-01", "until": last},
        ],
        "hours": hours(),
        "days": rows,
    }


def text(data: dict[str, Any]) -> str:
    """The file: one line for each row, so that differences can be read."""
    parts = []
    for key, value in data.items():
        if isinstance(value, list):
            lines = ",\n".join("  " + json.dumps(row) for row in value)
            parts.append(f'"{key}": [\n{lines}\n]')
        else:
            parts.append(f'"{key}": {json.dumps(value, indent=2)}')
    return "{\n" + ",\n".join(parts) + "\n}\n"


def main() -> None:
    """Write the file, or compare it."""
    parser = argparse.ArgumentParser(description="Make the market calendar's data file.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when it would change")
    new = text(made())
    if parser.parse_args().check:
        sys.exit(f"{OUTPUT} is not what this script makes" if OUTPUT.read_text() != new else 0)
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT.write_text(new)
    print(f"wrote {OUTPUT}")  # noqa: T201 - a program for people


if __name__ == "__main__":
    main()
