// What Muster promises about its start, memory and pages, measured on this machine against the release build: `make bench`. Figures to
// look at, not tests: the exit status says only whether everything could be measured. They are written to bench-pages.json in cargo's
// target folder, where bench-engine finds them and puts them above its own.
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import lighthouse, { desktopConfig } from "lighthouse";
import { chromium } from "playwright-core";
import {
  binary, browser, browserFlags, createOwnerAndKey, freePort, owner, remove, sampleRepository, serve, settings, temporaryFolder,
} from "../end2end/muster.mjs";

const WARM_STARTS = 5;
const CLICKS = 20;
/** How long a server is left alone before its memory is read. */
const IDLE_MS = 5_000;

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const target = process.env.CARGO_TARGET_DIR ?? join(homedir(), ".cache/muster/target");
const muster = binary("release");
const figures = [];

/** A figure that should stay below its goal, or above it. */
function note(what, value, unit, goal, better = "below") {
  const met = goal === undefined ? undefined : better === "below" ? value < goal : value >= goal;
  figures.push({ name: what, unit, ours: Math.round(value * 10) / 10, peers: {}, limit: null, goal: goal ?? null, better, met: met ?? null });
  process.stderr.write(`  ${what}: ${figures.at(-1).ours} ${unit}\n`);
}

const median = (values) => [...values].sort((one, other) => one - other)[Math.floor(values.length / 2)];
const percentile = (values, part) => [...values].sort((one, other) => one - other)[Math.ceil(values.length * part) - 1];
const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** From /proc, as a small system may have no `ps`; macOS has no /proc. */
function residentMb(pid) {
  const status = `/proc/${pid}/status`;
  const kilobytes = existsSync(status)
    ? readFileSync(status, "utf8").match(/^VmRSS:\s+(\d+)/m)?.[1]
    : execFileSync("ps", ["-o", "rss=", "-p", String(pid)], { encoding: "utf8" });
  return Number(kilobytes) / 1024;
}

async function startTimes(own, log) {
  const first = await serve(muster, own, log);
  note("start to ready, making its database", first.readyMs, "ms", 4000);
  await first.stop();
  const times = [];
  for (let count = 0; count < WARM_STARTS; count += 1) {
    const server = await serve(muster, own, log);
    times.push(server.readyMs);
    await server.stop();
  }
  note(`start to ready, median of ${WARM_STARTS}`, median(times), "ms", 1500);
}

function pageWeight() {
  const manifest = JSON.parse(readFileSync(join(root, "site/manifest.json"), "utf8"));
  const kb = (path) => statSync(join(root, "site", `${path}.br`)).size / 1000;
  note("wasm after brotli", kb(manifest.wasm), "kB", 350);
  note("CSS after brotli", kb(manifest.style), "kB", 20);
  note("JavaScript after brotli", kb(manifest.script), "kB");
}

async function signIn(page, url) {
  await page.goto(`${url}/sign-in`);
  await page.getByLabel("E-mail").fill(owner.email);
  await page.getByLabel("Password").fill(owner.password);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.waitForURL((address) => !address.pathname.startsWith("/sign-in"));
}

/** Runs in the page: notes the moment of the click, and of the first frame that holds a line of the work. */
function watchForFirstLine() {
  addEventListener("click", (event) => {
    if (event.target instanceof Element && event.target.closest("button[type=submit]")) sessionStorage.setItem("clicked", String(Date.now()));
  }, true);
  const look = () => {
    if (document.querySelector('[role=log]')?.textContent?.includes("first line of the work")) {
      sessionStorage.setItem("seen", String(Date.now()));
    } else {
      requestAnimationFrame(look);
    }
  };
  requestAnimationFrame(look);
}

async function clickToFirstLine(context, url, repository) {
  const times = [];
  const page = await context.newPage();
  await page.addInitScript(watchForFirstLine);
  for (let count = 0; count < CLICKS; count += 1) {
    await page.goto(`${url}/tasks/new`);
    await page.waitForTimeout(500);
    await page.evaluate(() => sessionStorage.clear());
    await page.getByLabel("Title").fill(`Measured ${count}`);
    await page.getByLabel("Repository").fill(repository);
    await page.getByLabel("Shell command").fill("echo first line of the work");
    await page.getByRole("button", { name: "Create task" }).click();
    await page.waitForFunction(() => sessionStorage.getItem("seen") !== null);
    times.push(await page.evaluate(() => Number(sessionStorage.getItem("seen")) - Number(sessionStorage.getItem("clicked"))));
    // the next one must not wait for a slot
    await page.getByText("Succeeded", { exact: true }).first().waitFor();
  }
  await page.close();
  note(`click on Create to the first log line, p50 of ${CLICKS}`, median(times), "ms", 150);
  note(`click on Create to the first log line, p90 of ${CLICKS}`, percentile(times, 0.9), "ms");
}

async function lighthouseScores(name, url, port) {
  for (const [device, config] of [["desktop", desktopConfig], ["mobile", undefined]]) {
    const flags = { port, logLevel: "error", onlyCategories: ["performance", "accessibility", "best-practices"] };
    const { lhr } = await lighthouse(url, flags, config);
    for (const [category, { score }] of Object.entries(lhr.categories)) note(`Lighthouse ${category}, ${name}, ${device}`, (score ?? 0) * 100, "", 95, "above");
  }
}

async function measure(folder) {
  const log = join(target, "bench-server.log");
  const own = await settings(folder);
  await startTimes(own, log);
  pageWeight();
  const server = await serve(muster, own, log);
  const port = await freePort();
  // a context that lasts, as Lighthouse opens its pages in it and has to be signed in there
  const context = await chromium.launchPersistentContext(join(folder, "browser"), {
    executablePath: browser(),
    args: [...browserFlags, `--remote-debugging-port=${port}`],
    headless: true,
  });
  try {
    await wait(IDLE_MS);
    note("memory of an idle server", residentMb(server.pid), "MB", 60);
    createOwnerAndKey(muster, own.env);
    await lighthouseScores("sign-in", `${own.url}/sign-in`, port);
    const page = await context.newPage();
    await signIn(page, own.url);
    await clickToFirstLine(context, own.url, sampleRepository(join(folder, "sample")));
    await lighthouseScores("task list", `${own.url}/tasks`, port);
    await wait(IDLE_MS);
    note("memory after all of this", residentMb(server.pid), "MB");
  } finally {
    await context.close();
    await server.stop();
  }
}

const folder = temporaryFolder();
try {
  await measure(folder);
} finally {
  remove(folder);
}
writeFileSync(join(target, "bench-pages.json"), `${JSON.stringify(figures, null, 2)}\n`);
