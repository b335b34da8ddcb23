"""The host's time zone changes no byte of what is made of frames, dumps, logins and the calendar."""

import os
import subprocess
import sys

PROGRAM = """
import sys
from tickerd.calendar import Calendar
from tickerd.plugin import Batch, Instrument, Listing, Order
from tickerd.testing import sample_records, sample_rows
from tickerd.wire.day import day_of
from tickerd.wire.kite import KITE, frame
from tickerd.wire.kite.layout import FULL_PACKET
from tickerd.wire.rows import csv_lines, json_line
from tickerd_plugins.kite import expiry
from tickerd_plugins.kite.dump import ahead_s, client, Request, table
from tickerd_plugins.kite.instruments import last_due, seconds_until
from tickerd_plugins.kite.orders import plain

out = sys.stdout.buffer
NS = 1_795_400_000 * 10**9  # 22 November in New York, 23 elsewhere
packet = FULL_PACKET.pack(1, 100, 1, 100, 1, 1, 1, 1, 1, 1, 1, NS // 10**9, 0, 0, 0, NS // 10**9, *[1, 100, 1] * 10)
batch = Batch.read(KITE, frame.join([packet]), connection=0, ts_recv=NS)
batch.origin.instruments = {1: Instrument("kite", 1, "NSE", "INFY")}
for hour in range(0, 48):
    now = NS + hour * 3600 * 10**9
    out.write(repr((day_of(now), expiry.ends(now), expiry.in_india(now), last_due("08:30", now),
                    seconds_until("08:30", now))).encode())
for row in sample_rows():
    out.write(json_line(row))
out.write(csv_lines(sample_rows()))
for record in sample_records():
    out.write(json_line(record))
for row in batch.rows():
    out.write(json_line(row))
out.write(csv_lines(batch.rows()))
events = Calendar.load().events_between(NS, NS + 20 * 86_400 * 10**9, ("NSE", "MCX", "CDS"))
out.write(repr(list(events)).encode())
columns = ("instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,tick_size,lot_size,"
           "instrument_type,segment,exchange")
line = "258,1,NIFTY26DEC26000CE,NIFTY,0,2026-12-31,26000,0.05,75,CE,NFO-OPT,NFO"
kite = client(Request(api_key="K", root="http://127.0.0.1:1"))
rows, _ = table(kite._parse_instruments((columns + "\\n" + line).encode()))
out.write(Listing.of_rows("kite", rows).pack({"fetched_ns": NS}))
orders = kite._format_response([{"order_id": "1", "order_timestamp": "2026-11-23 09:15:07"}])
out.write(json_line(Order(data={name: plain(value) for name, value in orders[0].items()}, ts_recv=NS)))
out.write(repr(ahead_s("Mon, 23 Nov 2026 03:45:00 GMT", NS / 1e9)).encode())
"""


def test_three_time_zones_give_the_same_bytes():
    made = {
        zone: subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={**os.environ, "TZ": zone},
            stdout=subprocess.PIPE,
            check=True,
            timeout=60,
        ).stdout
        for zone in ("UTC", "Asia/Kolkata", "America/New_York")
    }
    assert len(made["UTC"]) > 5000
    assert b"2026-11-23 09:15:07" in made["UTC"]
    assert made["Asia/Kolkata"] == made["UTC"]
    assert made["America/New_York"] == made["UTC"]
