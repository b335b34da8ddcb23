"""Prints live prices. Usage: TICKERD_KEY=tkd_live_… python live.py ws://127.0.0.1:7800 NSE:INFY …"""

import json, os, sys
from websockets.sync.client import connect  # pip install websockets

url, *symbols = sys.argv[1:]
with connect(f"{url}/v1/stream", subprotocols=["tickerd.v1.json"]) as stream:
    stream.send(json.dumps({"op": "auth", "key": os.environ["TICKERD_KEY"]}))
    stream.send(json.dumps({"op": "sub", "symbols": symbols, "mode": "quote"}))
    for text in stream:
        message = json.loads(text)
        if message["t"] == "welcome":
            columns = message["columns"]["quote"]
        elif message["t"] in ("snapshot", "ticks"):
            for row in message["rows"]:
                print(dict(zip(columns, row)), flush=True)
        else:
            print(text, file=sys.stderr)
