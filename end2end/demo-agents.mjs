// `make demo-agents`: real agents, whose models are played, on two runners with networks of their own, from the setup link to results that
// were verified, over the death of a runner. `node demo-agents.mjs MUSTER`; with MUSTER_DEMO_EXIT=1 it ends after the results, and its exit
// status says whether all holds that has to. With CI=true what cannot be tried does not hold.
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { forwardOutside, startMachine, startServer } from "./demo-agents/machines.mjs";
import { noNetworks } from "./demo-agents/network.mjs";
import { becomeOwner } from "./demo-agents/person.mjs";
import { processesThatName } from "./demo-agents/programs.mjs";
import { alone, answered, exitStatus, mended, readBack, survived, told, verified } from "./demo-agents/proof.mjs";
import { bad, bold, dim, duration, good, lanesOf, say, warn } from "./demo-agents/screen.mjs";
import { becomes, handIn, pause, runs } from "./demo-agents/tasks.mjs";
import { asks, loses, makeRepository, mends, scenarios, word } from "./demo-agents/work.mjs";

/** @typedef {import("./demo-agents/machines.mjs").Place} Place */
/** @typedef {import("./demo-agents/machines.mjs").Server} Server */
/** @typedef {import("./demo-agents/machines.mjs").Machine} Machine */

/** Within which nothing may be left running of an attempt whose runner was killed. */
const DIES_WITHIN_MS = 5_000;

const isSet = (/** @type {string | undefined} */ value) => !["", "0", "n", "no", "f", "false", "off"].includes((value ?? "").toLowerCase());
const exits = isSet(process.env.MUSTER_DEMO_EXIT);
/** Nobody looks at what was not tried. */
const hasToBeTried = isSet(process.env.CI);
/** @type {Promise<void>} */
const interrupted = new Promise((resolve) => ["SIGINT", "SIGTERM", "SIGHUP"].forEach((signal) => process.on(signal, () => resolve())));
let isInterrupted = false;
void interrupted.then(() => (isInterrupted = true));

/** Whoever is interrupted says nothing more of what they see end. */
function goOn() {
  if (isInterrupted) throw new Error("it was interrupted");
}

/**
 * All of them, or a failure when each has come to its end: nothing goes on that nobody waits for.
 * @template {readonly unknown[] | []} T
 * @param {T} promises
 * @returns {Promise<{ -readonly [P in keyof T]: Awaited<T[P]> }>}
 */
async function together(promises) {
  await Promise.allSettled(promises);
  return Promise.all(promises);
}

/** @param {Place} place */
function furnish({ folder }) {
  // the database's user, another one when this runs as root, has to get to it
  chmodSync(folder, 0o755);
  mkdirSync(join(folder, "signs"));
  // the link for the first owner is in there
  mkdirSync(join(folder, "logs"), { mode: 0o700 });
  const sign = join(folder, "signs", "go-on");
  const played = join(folder, "scenarios.json");
  writeFileSync(played, JSON.stringify(scenarios(sign)));
  return { sign, played, repository: makeRepository(join(folder, "word-counter")) };
}

/** @param {Place} place @param {Server} server @param {string} played */
async function startMachines(place, server, played) {
  const why = noNetworks();
  if (!why) await forwardOutside(place, server);
  const machines = await together(["left", "right"].map((name) => startMachine(place, server, name, !why, played)));
  for (const { name, links, models } of machines) {
    const reaches = links ? `, in a network of its own: ${links.join(", ")}, and a forwarder to ${server.url}, are all that it reaches` : "";
    say(`${bold(name)} is a runner, and its models are played at ${models}${reaches}`);
  }
  if (why) say(`${warn("Both are in the plain network of this machine")}, and not each in one of its own: ${why}`);
  return { machines, why };
}

/** @param {Server} server */
function sayHowToOwn({ url, link }) {
  say(`\nNobody owns it yet. This link, good for one use, makes you its owner:\n  ${bold(link)}`);
  say(`Codex is going to ask for leave. Allow what it asks at ${bold(`${url}/approvals`)}; the demo waits for you.\n`);
}

/**
 * Kills the runner of a task that is in the middle of its work, and starts it again.
 * @param {Server} server
 * @param {Machine[]} machines
 * @param {import("./demo-agents/tasks.mjs").Handed} task
 */
async function killItsRunner(server, machines, task) {
  const { attempt_list: [attempt] } = await server.read(`tasks/${task.id}`);
  const killed = machines.find(({ name }) => name === attempt.runner);
  if (!killed) throw new Error(`task ${task.id} is on ${attempt.runner}, which is no runner of the demo`);
  const running = processesThatName(attempt.id).length;
  say(`${bold(`${killed.name} is killed`)} in the middle, process ${killed.runner.pid} with -9; ${running} processes work on the attempt`);
  await killed.runner.end("SIGKILL");
  const at = Date.now();
  // before it is started again, as it would put away what it finds
  await becomes(() => processesThatName(attempt.id).length === 0, DIES_WITHIN_MS);
  const left = processesThatName(attempt.id);
  await killed.runsAgain();
  say(`${bold(`${killed.name} is started again`)}, for now without the word ${word} that these tasks need: the other one has to do it`);
  return { killed, at, running, left };
}

/** @param {import("./demo-agents/proof.mjs").Ended[]} all @param {string} repository @param {number} took */
function sayResults(all, repository, took) {
  say(`\n${bold("Verified results")} ${dim(`after ${duration(took)}`)}`);
  const width = Math.max(...all.map(({ task }) => task.title.length));
  for (const ended of all) {
    const { task } = ended;
    const { checks, went, branch, shown } = told(ended, repository);
    const state = (task.state === "succeeded" ? good : bad)(task.state.padEnd(9));
    say(`  ${dim(task.id)}  ${state}  ${checks}  ${task.title.padEnd(width)}  ${dim(went)}`);
    say(`    ${branch}`);
    for (const line of shown) say(dim(`     ${line}`));
  }
}

/**
 * @param {import("./demo-agents/proof.mjs").Claim[]} claims
 * @param {string | undefined} untried why each runner is not in a network of its own, where that does without
 */
function sayWhatHolds(claims, untried) {
  say(`\n${bold("What has to hold")}`);
  for (const { holds, what } of claims) say(`  ${holds ? good("holds") : bad("FAILS")}  ${what}`);
  if (untried) say(`  ${warn("UNTRIED")}  The network of a runner has no link but its loopback: ${untried}`);
}

/**
 * The exit status: whether all holds that has to.
 * @param {Place} place
 */
async function carryOut(place) {
  const begun = performance.now();
  const { sign, played, repository } = furnish(place);
  const server = await startServer(place);
  say(`${bold("Muster is up")} at ${server.url} ${dim(`after ${duration(performance.now() - begun)}`)}`);
  const owner = exits ? becomeOwner(place, server) : undefined;
  const [{ machines, why }, person] = await together([startMachines(place, server, played), owner]);
  say(`The tasks work on the sample repository ${repository}`);
  if (person) say(`${bold(person.name)} is at the pages, and has become the owner by the setup link\n`);
  else sayHowToOwn(server);

  const lane = lanesOf([mends.title, asks.title, loses.title]);
  const worked = performance.now();
  const hand = (/** @type {import("./demo-agents/work.mjs").Work} */ work) => handIn(place, server, repository, work, lane(work.title));
  const [first, second] = await Promise.all([hand(mends), hand(asks)]);
  const answers = person?.answers(asks.title, second.hasEnded, (asked) => say(`${bold(`${person.name} clicks Allow:`)} ${asked}`));
  await Promise.all([first.ended, second.ended, answers]);
  goOn();
  const third = await hand(loses);
  await runs(server, third, sign);
  goOn();
  const death = await killItsRunner(server, machines, third);
  writeFileSync(sign, "");
  await third.ended;
  goOn();
  const took = performance.now() - worked;

  const all = await Promise.all([first, second, third].map(({ id }) => readBack(server, id)));
  const [mendedWork, askedWork, lostWork] = /** @type {[any, any, any]} */ (all);
  sayResults(all, repository, took);
  const runners = await server.read("runners");
  const about = all.flatMap((ended) => verified(ended, repository));
  const claims = [...alone(machines, why, hasToBeTried), ...about, mended(mendedWork), answered(askedWork, person?.name), ...survived(lostWork, repository, death, runners)];
  sayWhatHolds(claims, hasToBeTried ? undefined : why);
  const status = exitStatus(claims);
  const allHolds = why ? warn("All of it holds that was tried") : good("All of it holds");
  say(`${status === 0 ? allHolds : bad("Not all of it holds")}, ${duration(performance.now() - begun)} after the beginning`);
  if (!exits) say(`\nThe dashboard is at ${bold(server.url)}\n${dim("Ctrl-C stops everything.")}`);
  return status;
}

/**
 * What was started last is ended first, and what is started yet while it is being ended as well. Whether all of it could be.
 * @param {Place} place
 * @param {Promise<unknown>} carriedOut
 */
async function leave({ atTheEnd }, carriedOut) {
  let isFine = true;
  let goesOn = true;
  const over = carriedOut.catch(() => {}).then(() => (goesOn = false));
  for (;;) {
    const end = atTheEnd.pop();
    if (!end && !goesOn) return isFine;
    try {
      await (end ? end() : Promise.race([over, pause()]));
    } catch (error) {
      say(bad(`Something is left behind: ${error}`));
      isFine = false;
    }
  }
}

/**
 * The exit status, before everything is ended.
 * @param {Promise<number>} carriedOut
 */
async function outcome(carriedOut) {
  try {
    const status = await Promise.race([carriedOut, interrupted]);
    if (status === undefined) return 130;
    if (!exits) await interrupted;
    return status;
  } catch (error) {
    say(bad(`\nIt could not be carried out: ${error instanceof Error ? error.message : error}`));
    return 1;
  }
}

async function main() {
  const muster = resolve(process.argv[2] ?? "");
  if (process.argv.length !== 3 || !existsSync(muster)) {
    say("usage: scripts/demo-agents MUSTER, which is a program that was built");
    return 2;
  }
  if (process.platform !== "linux") {
    say("Agents that ask work in sandboxes, which Muster makes on Linux alone: there is no such demo here.");
    return 1;
  }
  const folder = mkdtempSync("/tmp/muster-demo-agents-");
  // nothing of this machine's settings leaks into it
  const env = { PATH: process.env.PATH, HOME: folder, NO_COLOR: "1" };
  /** @type {Place} */
  const place = { muster, folder, env, atTheEnd: [] };
  const carriedOut = carryOut(place);
  let status = await outcome(carriedOut);
  say("Stopping.");
  if (!(await leave(place, carriedOut))) status = 1;
  if (status === 1) say(`What its programs wrote is kept in ${join(folder, "logs")}, beside all that they left.`);
  else rmSync(folder, { recursive: true, force: true });
  return status;
}

process.exit(await main());
