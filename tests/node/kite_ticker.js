// The official JavaScript clients against a simulator; prints one JSON object a line.
// Arguments: WS_ROOT REST_ROOT API_KEY API_SECRET REQUEST_TOKEN MODE TOKEN…
"use strict";
const { KiteConnect, KiteTicker } = require("kiteconnect");

const [wsRoot, restRoot, apiKey, apiSecret, requestToken, mode, ...words] = process.argv.slice(2);
const tokens = words.map(Number);
const say = (event, what) => console.log(JSON.stringify({ event, ...what }));

async function rest() {
  const kite = new KiteConnect({ api_key: apiKey, root: restRoot });
  const session = await kite.generateSession(requestToken, apiSecret);
  kite.setAccessToken(session.access_token);
  const instruments = await kite.getInstruments("NSE");
  const quote = await kite.getQuote(["NSE:INFY"]);
  const ltp = await kite.getLTP(["NSE:INFY", "NSE:NIFTY 50"]);
  say("rest", { session, profile: await kite.getProfile(), instruments: instruments.length, quote, ltp });
  kite.setAccessToken("stale");
  await kite.getOrders().catch((error) => say("refused", { error_type: error.error_type }));
  return session.access_token;
}

async function main() {
  const accessToken = await rest();
  const ticker = new KiteTicker({ api_key: apiKey, access_token: accessToken, root: wsRoot });
  ticker.autoReconnect(true, 10, 5);
  ticker.on("connect", () => {
    say("connect");
    ticker.subscribe(tokens);
    ticker.setMode(mode, tokens);
  });
  ticker.on("ticks", (ticks) => say("ticks", { ticks }));
  ticker.on("order_update", (data) => say("order", { data }));
  ticker.on("disconnect", () => say("disconnect"));
  ticker.connect();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
