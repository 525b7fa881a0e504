// A Muster of its own for tests and benchmarks: state folder, owner, key and sample repository in a temporary folder.
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, createWriteStream, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { homedir } from "node:os";
import { join } from "node:path";

export const owner = { name: "Ada Owner", email: "ada@example.org", password: "a quiet morning walk" };

/** A first start makes a database cluster, on a small machine beside a browser. */
const READY_WITHIN_MS = 60_000;

/** @param {"debug" | "release"} profile */
export function binary(profile) {
  const target = process.env.CARGO_TARGET_DIR ?? join(homedir(), ".cache/muster/target");
  return process.env.MUSTER_TEST_BINARY ?? join(target, profile, "muster");
}

/** A folder that the database's user, another one when this runs as root, can get to. */
export function temporaryFolder() {
  const folder = mkdtempSync("/tmp/muster-e2e-");
  chmodSync(folder, 0o711);
  return folder;
}

/** @param {string} folder */
export function remove(folder) {
  rmSync(folder, { recursive: true, force: true });
}

/**
 * The settings of a Muster in a folder. Those of this machine's own must not leak into it.
 * @param {string} folder
 */
export async function settings(folder) {
  const address = `127.0.0.1:${await freePort()}`;
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith("MUSTER_") && name !== "DATABASE_URL");
  // whatever agents there are on this machine, they would cost money
  const own = { MUSTER_CLAUDE_CODE: "none", MUSTER_CODEX: "none", MUSTER_GEMINI_CLI: "none", MUSTER_OPENCODE: "none", MUSTER_AGENTS_DIR: "none", MUSTER_OLLAMA_URL: "none", MUSTER_ADDR: address, MUSTER_URL: `http://${address}`, MUSTER_STATE_DIR: join(folder, "state"), MUSTER_SANDBOX_READ: signs(folder) };
  return { url: own.MUSTER_URL, env: { ...Object.fromEntries(inherited), ...own } };
}

/**
 * Where tests put files by which they tell work in a sandbox to go on.
 * @param {string} folder
 */
export function signs(folder) {
  const path = join(folder, "signs");
  mkdirSync(path, { recursive: true });
  return path;
}

/**
 * A folder of manifests with one in it: an agent that writes down what it is told, and says so.
 * @param {string} folder
 */
export function manifests(folder) {
  const path = join(folder, "agents");
  mkdirSync(path, { recursive: true, mode: 0o700 });
  const program = join(folder, "heard");
  writeFileSync(program, "#!/bin/sh\nif [ \"$1\" = --version ]; then echo heard 1.4.2; exit; fi\ncat > heard.txt\necho 'I have heard it.'\n", { mode: 0o755 });
  writeFileSync(join(path, "heard.toml"), `speaks = "text"\ncommand = ["${program}"]\n`, { mode: 0o600 });
  return path;
}

/**
 * Starts the server and waits until it is ready.
 * @param {string} muster
 * @param {{ url: string, env: NodeJS.ProcessEnv }} settings
 * @param {string} log where its output goes
 */
export async function serve(muster, { url, env }, log) {
  const started = performance.now();
  const child = spawn(muster, ["serve"], { env, stdio: ["ignore", "pipe", "pipe"] });
  const output = createWriteStream(log, { flags: "a" });
  child.stdout.pipe(output, { end: false });
  child.stderr.pipe(output, { end: false });
  const stop = async () => {
    if (child.exitCode === null && child.signalCode === null) {
      const ended = once(child, "exit");
      child.kill("SIGTERM");
      await ended;
    }
    output.end();
  };
  while (performance.now() - started < READY_WITHIN_MS) {
    if (child.exitCode !== null) throw new Error(`muster serve ended with ${child.exitCode}; see ${log}`);
    const answer = await fetch(`${url}/readyz`).catch(() => undefined);
    if (answer?.ok) return { readyMs: performance.now() - started, pid: child.pid ?? 0, stop };
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await stop();
  throw new Error(`muster serve was not ready after ${READY_WITHIN_MS} ms; see ${log}`);
}

/**
 * A provider of models that plays scenarios, and what lets Muster's agents use it.
 * @param {string} muster
 * @param {string} folder
 * @param {object[]} scenarios beside those that it comes with
 */
export async function fakeProvider(muster, folder, scenarios) {
  const file = join(folder, "scenarios.json");
  writeFileSync(file, JSON.stringify({ scenarios }));
  const child = spawn(muster, ["fake-provider", "--listen", "127.0.0.1:0", "--scenarios", file], { stdio: ["ignore", "pipe", "inherit"] });
  const [line] = await once(child.stdout, "data");
  const url = String(line).trim().split(" on ")[1];
  const program = join(homedir(), ".cache/muster/tools/agents/node_modules/.bin/claude");
  if (!existsSync(program)) throw new Error(`${program} is not there: run scripts/setup --tests`);
  return { env: { MUSTER_CLAUDE_CODE: program, ANTHROPIC_BASE_URL: url, ANTHROPIC_API_KEY: "none", MUSTER_OLLAMA_URL: url }, stop: () => child.kill() };
}

/**
 * The owner and a key, which this returns.
 * @param {string} muster
 * @param {NodeJS.ProcessEnv} env
 */
export function createOwnerAndKey(muster, env) {
  const { name, email, password } = owner;
  execFileSync(muster, ["admin", "create-owner", "--name", name, "--email", email, "--password-stdin"], { env, input: `${password}\n`, stdio: "pipe" });
  return execFileSync(muster, ["admin", "create-key", "--name", "end to end"], { env, encoding: "utf8" }).trim();
}

/** @param {string} folder */
export function sampleRepository(folder) {
  mkdirSync(folder, { recursive: true });
  const git = (/** @type {string[]} */ ...words) => execFileSync("git", ["-C", folder, ...words], { stdio: "pipe" });
  git("init", "--quiet", "--initial-branch", "main");
  writeFileSync(join(folder, "README.md"), "# Sample\n\nOne line.\nAnother line.\n");
  writeFileSync(join(folder, "greeting.sh"), "#!/bin/sh\necho hello\n", { mode: 0o755 });
  git("add", "--all");
  git("-c", "user.name=Sample", "-c", "user.email=sample@example.org", "commit", "--quiet", "--message", "A beginning");
  return folder;
}

export async function freePort() {
  const listener = createServer().listen(0, "127.0.0.1");
  await once(listener, "listening");
  const address = listener.address();
  listener.close();
  await once(listener, "close");
  if (address === null || typeof address === "string") throw new Error("no free port");
  return address.port;
}

const browsers = [
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
  "/Applications/Chromium.app/Contents/MacOS/Chromium",
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
];

/** The system's own Chromium: nothing is downloaded, and tests run in the browser that the machine keeps up to date. */
export function browser() {
  const found = process.env.MUSTER_TEST_BROWSER ?? browsers.find((place) => existsSync(place));
  if (!found) throw new Error("no Chromium found: run scripts/setup --tests, or name one in MUSTER_TEST_BROWSER");
  return found;
}

/** Works as root and without a display card, and talks to nobody but the page under test. */
export const browserFlags = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
