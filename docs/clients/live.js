// Prints live prices. Usage: TICKERD_KEY=tkd_live_… node live.js ws://127.0.0.1:7800 NSE:INFY …
const Socket = globalThis.WebSocket ?? require("ws"); // before Node 22: npm install ws

const [url, ...symbols] = process.argv.slice(2);
const stream = new Socket(`${url}/v1/stream`, "tickerd.v1.json");
const send = (message) => stream.send(JSON.stringify(message));
let columns;
stream.onopen = () => {
  send({ op: "auth", key: process.env.TICKERD_KEY });
  send({ op: "sub", symbols, mode: "quote" });
};
stream.onmessage = ({ data }) => {
  const { t, columns: all, rows = [] } = JSON.parse(data);
  if (t === "welcome") columns = all.quote;
  for (const row of rows) console.log(Object.fromEntries(columns.map((name, i) => [name, row[i]])));
  if (!["welcome", "snapshot", "ticks"].includes(t)) console.error(data);
};
