// The official JavaScript ticker, unmodified but for its root; prints one JSON object a line.
// Arguments: ROOT ACCESS_TOKEN MODE TOKEN…; tokens that begin with a quote are sent as strings.
"use strict";
const { KiteTicker } = require("kiteconnect");

const [root, accessToken, mode, ...words] = process.argv.slice(2);
const tokens = words.map((word) => (word.startsWith("'") ? word.slice(1) : Number(word)));
const say = (event, what) => console.log(JSON.stringify({ event, ...what }));

const ticker = new KiteTicker({ api_key: "app", access_token: accessToken, root });
ticker.autoReconnect(true, 10, 5);
ticker.on("connect", () => {
  say("connect");
  ticker.subscribe(tokens);
  ticker.setMode(mode, tokens);
});
ticker.on("ticks", (ticks) => say("ticks", { ticks }));
ticker.on("order_update", (data) => say("order", { data }));
ticker.on("error", (error) => say("error", { message: String(error && error.message) }));
ticker.on("disconnect", () => say("disconnect"));
ticker.connect();
