// Uses the live-price page as a person does, in a headless Chromium; prints one JSON object a line.
// Arguments: CHROMIUM PAGE STREAM KEY SYMBOLS
"use strict";
const puppeteer = require("puppeteer-core");

const [executablePath, page, stream, key, symbols] = process.argv.slice(2);
const say = (event, what) => console.log(JSON.stringify({ event, ...what }));

const table = () =>
  [...document.querySelectorAll("#rows tr")].map((row) => [...row.cells].map((cell) => cell.textContent));
const state = () => document.getElementById("state").textContent;

async function fill(tab, id, text) {
  await tab.$eval(`#${id}`, (field) => (field.value = ""));
  await tab.type(`#${id}`, text);
}

async function main() {
  // the sandbox needs rights that a container does not give
  const browser = await puppeteer.launch({ executablePath, headless: true, args: ["--no-sandbox", "--disable-gpu"] });
  try {
    const tab = await browser.newPage();
    tab.on("pageerror", (error) => say("wrong", { text: String(error) }));
    tab.on("console", (message) => message.type() === "error" && say("wrong", { text: message.text() }));
    tab.on("request", (request) => say("request", { url: request.url(), method: request.method() }));
    await tab.goto(page);
    await fill(tab, "stream", stream);
    await fill(tab, "symbols", symbols);
    if (key) await fill(tab, "key", key);
    await tab.click("#connect");
    const settled = () => !/^(Not connected|Connecting)/.test(document.getElementById("state").textContent);
    const failed = () => /^Not connected: /.test(document.getElementById("state").textContent);
    await Promise.race([tab.waitForFunction(settled), tab.waitForFunction(failed)]);
    say("state", { text: await tab.evaluate(state) });
    if (await tab.evaluate(settled)) {
      await tab.waitForFunction(() => document.querySelector("#rows tr td:nth-child(2)").textContent !== "");
      const first = await tab.evaluate(table);
      await tab.waitForFunction((before) => document.getElementById("rows").textContent !== before, {}, first.flat().join(""));
      say("rows", { rows: await tab.evaluate(table) });
      await tab.click("#stop");
      say("stopped", { text: await tab.evaluate(state) });
    }
  } finally {
    await browser.close();
  }
  say("done");
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
