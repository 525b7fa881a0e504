// Handing tasks in and watching them, as anybody could.
import { log } from "./machines.mjs";
import { start } from "./programs.mjs";
import { word } from "./work.mjs";

/** @typedef {Awaited<ReturnType<typeof handIn>>} Handed */

/** For what an agent is to come to, on a small machine. */
const PATIENCE_MS = 90_000;
const LOOK_MS = 100;

/**
 * @param {import("./machines.mjs").Place} place
 * @param {import("./machines.mjs").Server} server
 * @param {string} repository
 * @param {import("./work.mjs").Work} work
 * @param {(line: string, isRemark: boolean) => void} each hears its log and what happens to it
 */
export async function handIn(place, server, repository, work, each) {
  const { title, prompt, backend, model, checks, more } = work;
  const agent = ["--agent", backend, "--model", model, "--capability", word, ...more];
  const words = ["task", "run", prompt, "--repo", repository, "--title", title, ...agent, ...checks.flatMap((check) => ["--check", check]), "--watch"];
  const watching = start([place.muster, ...words], { env: server.client, log: log(place, "tasks"), each });
  place.atTheEnd.push(watching.end);
  const [, id = ""] = /\/tasks\/([0-9a-f-]{36})/.exec(await watching.says("/tasks/")) ?? [];
  return { work, id, ended: watching.ended, hasEnded: watching.isOver };
}

/**
 * Waits until the agent of a task has begun to run a command.
 * @param {import("./machines.mjs").Server} server
 * @param {Handed} task
 * @param {string} part of the command
 */
export async function runs({ read }, { id, hasEnded }, part) {
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    const { events } = await read(`tasks/${id}/session`);
    if (events.some((/** @type {any} */ event) => event.type === "tool_call" && JSON.stringify(event).includes(part))) return;
    if (hasEnded() || performance.now() > deadline) throw new Error(`task ${id} did not come to ${part}`);
    await pause();
  }
}

/**
 * Waits for what is to become true, and says whether it has.
 * @param {() => boolean} there
 * @param {number} withinMs
 */
export async function becomes(there, withinMs) {
  const deadline = performance.now() + withinMs;
  while (!there()) {
    if (performance.now() > deadline) return false;
    await pause();
  }
  return true;
}

export const pause = () => new Promise((resolve) => setTimeout(resolve, LOOK_MS));
