// Programs that the demo starts, and ends in order.
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { createWriteStream, readdirSync, readFileSync } from "node:fs";
import { createInterface } from "node:readline";

const ENDS_WITHIN_MS = 20_000;
const SAYS_WITHIN_MS = 120_000;
const LINGERS_MS = 1_000;

/**
 * Where the output of a program goes, and who hears each line of it, with whether it came on standard error.
 * @typedef {{ env: NodeJS.ProcessEnv, log: string, each?: (line: string, isRemark: boolean) => void }} How
 */
/** @typedef {ReturnType<typeof start>} Program */

/**
 * In a session of its own, so that Ctrl-C in a terminal is the demo's alone, which ends what it has started in order.
 * @param {string[]} words
 * @param {How} how
 */
export function start([program = "", ...words], { env, log, each }) {
  const child = spawn(program, words, { env, detached: true, stdio: ["ignore", "pipe", "pipe"] });
  /** @type {string[]} */
  const said = [];
  /** @type {Set<() => void>} */
  const listeners = new Set();
  const file = createWriteStream(log, { flags: "a" });
  for (const stream of [child.stdout, child.stderr]) {
    stream.pipe(file, { end: false });
    createInterface(stream).on("line", (line) => {
      said.push(line);
      each?.(line, stream === child.stderr);
      for (const listener of listeners) listener();
    });
  }
  let status = /** @type {number | string | undefined} */ (undefined);
  const silent = new Promise((resolve) => child.once("close", resolve));
  const ended = once(child, "exit").catch((error) => [String(error)]).then(async ([code, signal]) => {
    // what it has started may hold its output open
    await Promise.race([silent, new Promise((resolve) => setTimeout(resolve, LINGERS_MS))]);
    status = signal ?? code;
    for (const stream of [child.stdout, child.stderr]) stream.unpipe(file);
    file.end();
    for (const listener of listeners) listener();
  });

  /**
   * The first line with these words.
   * @param {string} text
   * @returns {Promise<string>}
   */
  const says = (text) =>
    new Promise((resolve, reject) => {
      const settle = (/** @type {() => void} */ how) => (clearTimeout(patience), listeners.delete(look), how());
      const refuse = (/** @type {string} */ why) => settle(() => reject(new Error(`${program} ${why} without “${text}”; see ${log}\n${said.slice(-10).join("\n")}`)));
      const look = () => {
        const line = said.find((one) => one.includes(text));
        if (line !== undefined) settle(() => resolve(line));
        else if (status !== undefined) refuse(`ended with ${status}`);
      };
      const patience = setTimeout(() => refuse("went on"), SAYS_WITHIN_MS);
      listeners.add(look);
      look();
    });

  /** @param {NodeJS.Signals} signal */
  const end = async (signal = "SIGTERM") => {
    if (status === undefined) child.kill(signal);
    const force = setTimeout(() => child.kill("SIGKILL"), ENDS_WITHIN_MS);
    await ended;
    clearTimeout(force);
  };
  return { pid: child.pid ?? 0, ended, says, end, isOver: () => status !== undefined };
}

/**
 * What a program that ends by itself says on its standard output.
 * @param {string[]} words
 * @param {NodeJS.ProcessEnv} env
 */
export function ask([program = "", ...words], env = process.env) {
  return execFileSync(program, words, { env, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] }).trimEnd();
}

/**
 * Numbers of running processes with this in their command line or environment.
 * @param {string} text
 */
export function processesThatName(text) {
  const about = (/** @type {string} */ pid, /** @type {string} */ what) => {
    try {
      return readFileSync(`/proc/${pid}/${what}`, "latin1");
    } catch {
      // it has ended meanwhile, or is somebody else's
      return "";
    }
  };
  return readdirSync("/proc").filter((name) => /^\d+$/.test(name) && (about(name, "cmdline").includes(text) || about(name, "environ").includes(text)));
}
