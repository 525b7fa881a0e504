// The server, and runners elsewhere, each with a provider of models beside it.
import { existsSync, mkdirSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { forward } from "./forwarder.mjs";
import { ownNetwork, plainNetwork } from "./network.mjs";
import { ask, start } from "./programs.mjs";
import { word } from "./work.mjs";

/**
 * Where the demo is: its program, the folder that holds all of it, what its programs are given, and what is to be done when it is over, the
 * last first.
 * @typedef {{ muster: string, folder: string, env: NodeJS.ProcessEnv, atTheEnd: (() => unknown)[] }} Place
 */
/** @typedef {Awaited<ReturnType<typeof startServer>>} Server */
/** @typedef {Awaited<ReturnType<typeof startMachine>>} Machine */

const forwarder = fileURLToPath(new URL("forwarder.mjs", import.meta.url));

/** @param {Place} place @param {string} name */
export const log = ({ folder }, name) => join(folder, "logs", `${name}.log`);

/**
 * It does no work itself.
 * @param {Place} place
 */
export async function startServer(place) {
  const env = { ...place.env, MUSTER_STATE_DIR: join(place.folder, "state") };
  const program = start([place.muster, "serve", "--addr", "127.0.0.1:0", "--slots", "0"], { env, log: log(place, "server") });
  place.atTheEnd.push(program.end);
  const url = (await program.says("Muster serves at ")).split("serves at ")[1]?.trim() ?? "";
  const link = (await program.says("to become the owner: ")).split("owner: ")[1]?.trim() ?? "";
  const key = ask([place.muster, "admin", "create-key", "--name", "Agents demo", "--role", "admin"], env);
  const client = { ...env, MUSTER_URL: url, MUSTER_API_KEY: key };
  /**
   * What the API answers.
   * @param {string} path
   * @returns {Promise<any>}
   */
  const read = async (path) => {
    const answer = await fetch(`${url}/api/v1/${path}`, { headers: { authorization: `Bearer ${key}` } });
    if (!answer.ok) throw new Error(`${path} is answered with ${answer.status}: ${await answer.text()}`);
    return answer.json();
  };
  return { url, link, client, read };
}

/**
 * The end of the forwarders outside, for all networks.
 * @param {Place} place
 * @param {Server} server
 */
export async function forwardOutside({ folder, atTheEnd }, { url }) {
  const forwarded = await forward({ path: join(folder, "server.sock") }, { host: "127.0.0.1", port: Number(new URL(url).port) });
  atTheEnd.push(forwarded.stop);
}

/** The agents' programs, as `scripts/setup --tests` installs them. */
function agents() {
  const program = (/** @type {string} */ name) => {
    const path = join(homedir(), ".cache/muster/tools/agents/node_modules/.bin", name);
    if (!existsSync(path)) throw new Error(`${path} is not there: run scripts/setup --tests`);
    return path;
  };
  return { MUSTER_CLAUDE_CODE: program("claude"), MUSTER_CODEX: program("codex"), MUSTER_GEMINI_CLI: "none", MUSTER_OPENCODE: "none" };
}

/**
 * A runner that has joined and tried itself out, in a network with a provider of models.
 * @param {Place} place
 * @param {Server} server
 * @param {string} name
 * @param {boolean} inOwnNetwork
 * @param {string} scenarios what its provider plays: a file
 */
export async function startMachine(place, server, name, inOwnNetwork, scenarios) {
  const folder = join(place.folder, name);
  mkdirSync(folder);
  const network = inOwnNetwork ? ownNetwork(name) : plainNetwork();
  place.atTheEnd.push(network.remove);
  const starts = (/** @type {string} */ what, /** @type {NodeJS.ProcessEnv} */ env, /** @type {string[]} */ ...words) => {
    const program = start(network.within(words), { env, log: log(place, `${name}-${what}`) });
    place.atTheEnd.push(program.end);
    return program;
  };
  if (inOwnNetwork) {
    const inside = starts("forwarder", place.env, process.execPath, forwarder, new URL(server.url).port, join(place.folder, "server.sock"));
    await inside.says("Forwards ");
  }
  // in a network of its own it is alone with the usual port
  const provider = starts("provider", place.env, place.muster, "fake-provider", "--listen", `127.0.0.1:${inOwnNetwork ? 4010 : 0}`, "--scenarios", scenarios);
  const models = (await provider.says("Fake provider on ")).split(" on ")[1]?.trim() ?? "";
  const keys = { ANTHROPIC_BASE_URL: models, ANTHROPIC_API_KEY: "none", OPENAI_BASE_URL: `${models}/v1`, OPENAI_API_KEY: "none" };
  const env = { ...place.env, ...agents(), ...keys, MUSTER_RUNNER_DIR: folder, MUSTER_SLOTS: "2", MUSTER_SANDBOX_READ: join(place.folder, "signs") };
  const token = ask([place.muster, "runner", "token"], server.client);
  const runner = starts("runner", env, place.muster, "runner", "join", server.url, token, "--name", name, "--paths", "--foreground", "--capability", word);
  await runner.says("2 of 2 checks passed");
  /**
   * It works again, says what it has lost, which would otherwise be taken back after two minutes of silence, and is given nothing that
   * needs the word.
   */
  const runsAgain = () => starts("runner", { ...env, MUSTER_CAPABILITIES: "," }, place.muster, "runner", "run").says(" is ready");
  return { name, links: network.links(), models, runner, runsAgain };
}
