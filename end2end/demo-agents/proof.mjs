// What has come of the tasks, read back from the server and from the repository, and what of it has to hold.
import { ask } from "./programs.mjs";
import { count } from "./screen.mjs";
import { asks, loses, madeEarly, mends } from "./work.mjs";

/** @typedef {{ task: any, session: any[], approvals: any[] }} Ended as the API has them */
/** @typedef {{ holds: boolean, what: string }} Claim */

/**
 * @param {import("./machines.mjs").Server} server
 * @param {string} id
 * @returns {Promise<Ended>}
 */
export async function readBack({ read }, id) {
  const [task, session, approvals] = await Promise.all([read(`tasks/${id}`), read(`tasks/${id}/session`), read(`approvals?task=${id}`)]);
  return { task, session: session.events, approvals: approvals.items };
}

const names = new Map([["claude-code", "Claude Code"], ["codex", "Codex"]]);
const begun = (/** @type {Ended} */ { session }) => session.filter((event) => event.type === "started");
const rounds = (/** @type {any} */ attempt) => attempt.earlier_rounds.length + (attempt.verification ? 1 : 0);

/**
 * How a task went, and what of it is in the repository.
 * @param {Ended} ended
 * @param {string} repository
 */
export function told(ended, repository) {
  const { task } = ended;
  const last = task.attempt_list.at(-1);
  const agent = begun(ended).map(({ backend, version }) => `${names.get(backend) ?? backend} ${version}`).at(-1);
  const went = last ? [count(rounds(last), "round"), `on ${last.runner}`, agent ?? "no agent"] : [];
  return {
    checks: `${task.checks_passed ?? 0} of ${task.checks} checks passed`,
    went: [count(task.attempts, "attempt"), ...went].join(", "),
    branch: last?.commit ? `${last.branch} at ${last.commit.slice(0, 10)}` : "nothing is committed",
    shown: last?.commit ? git(repository, "show", "--stat", "--format=", last.branch) : [],
  };
}

/** What git says; nothing when it refuses. */
function git(/** @type {string} */ repository, /** @type {string[]} */ ...words) {
  try {
    return ask(["git", "-C", repository, ...words]).split("\n");
  } catch {
    return [];
  }
}

/**
 * About each of the tasks.
 * @param {Ended} ended
 * @param {string} repository
 * @returns {Claim[]}
 */
export function verified({ task }, repository) {
  const last = task.attempt_list.at(-1);
  const changed = last?.commit ? git(repository, "diff", "--name-only", `main...${last.commit}`).filter((name) => name !== "") : [];
  const onBranch = last?.commit && git(repository, "rev-parse", last.branch)[0] === last.commit;
  return [
    { holds: task.state === "succeeded" && task.checks > 0 && task.checks_passed === task.checks, what: `“${task.title}” has succeeded, and all of its checks passed` },
    { holds: Boolean(onBranch) && changed.length > 0, what: `“${task.title}” is committed: ${changed.join(", ") || "nothing"}` },
  ];
}

/**
 * @param {Ended} ended
 * @returns {Claim}
 */
export function mended(ended) {
  const { attempt_list: [first], attempts } = ended.task;
  const failed = (first?.earlier_rounds ?? []).flatMap((/** @type {any} */ { checks }) => checks).filter((/** @type {any} */ check) => check.status !== "passed");
  const sessions = begun(ended).map(({ session }) => session);
  const isOne = sessions.length === 2 && sessions[0] && sessions[0] === sessions[1];
  const holds = attempts === 1 && rounds(first) === 2 && failed.length > 0 && isOne;
  return { holds, what: `“${mends.title}” failed ${count(failed.length, "check")} and was repaired in ${count(new Set(sessions).size, "session")} of ${count(attempts, "attempt")}: ${sessions[0]}` };
}

/**
 * Without networks of their own there is nothing to be shown, which does for a person who tries it, and not where it is to be proven.
 * @param {import("./machines.mjs").Machine[]} machines
 * @param {string | undefined} noNetworks why there are none
 * @param {boolean} hasToBeTried
 * @returns {Claim[]}
 */
export function alone(machines, noNetworks, hasToBeTried) {
  if (noNetworks && hasToBeTried) return [{ holds: false, what: `The network of a runner has no link but its loopback: ${noNetworks}` }];
  const own = machines.filter(({ links }) => links !== undefined);
  return own.map(({ name, links = [] }) => ({ holds: links.join() === "lo", what: `The network of ${name} has no link but its loopback: ${links.join(", ")}` }));
}

/** Keys, rules and links answer in names of their own. */
const isPerson = (/** @type {string | undefined} */ by) => by !== undefined && by !== null && !/\(API key\)$|^the rule |^a link of /.test(by);

/**
 * @param {Ended} ended
 * @param {string | undefined} person who has answered, where that is known
 * @returns {Claim}
 */
export function answered({ approvals }, person) {
  const by = [...new Set(approvals.map(({ closed }) => closed?.by ?? "nobody"))];
  const holds = approvals.length > 0 && approvals.every(({ closed }) => (person ? closed?.by === person : isPerson(closed?.by)));
  return { holds, what: `“${asks.title}” asked ${count(approvals.length, "question")}, answered by ${by.join(", ") || "nobody"}` };
}

/**
 * @param {Ended} ended
 * @param {string} repository
 * @param {{ killed: import("./machines.mjs").Machine, at: number, running: number, left: string[] }} death of its first runner, how many
 *   processes it had for it then, and what was left running of it
 * @param {any[]} runners
 * @returns {Claim[]}
 */
export function survived({ task }, repository, { killed, at, running, left }, runners) {
  const [first, second] = task.attempt_list;
  const early = first?.branch ? git(repository, "ls-tree", "--name-only", first.branch, madeEarly) : [];
  const online = runners.filter((runner) => runner.online && (runner.name !== killed.name || Date.parse(runner.last_seen_at) > at)).map(({ name }) => name);
  const elsewhere = task.attempts === 2 && first.state === "lost" && first.runner === killed.name && second.runner !== killed.name;
  return [
    { holds: elsewhere, what: `“${loses.title}” lost its runner ${first?.runner}, and was done by ${second?.runner ?? "nobody"}` },
    // or what is said next would hold of anything
    { holds: running > 0, what: `The attempt was at work when ${killed.name} was killed: ${running} processes` },
    { holds: left.length === 0, what: `Nothing was left running of the attempt on ${killed.name}: ${left.length} processes` },
    { holds: early.includes(madeEarly), what: `What it had done until then is kept on ${first?.branch}` },
    { holds: runners.length === 2 && online.length === 2, what: `Online at the end: ${online.join(", ") || "none"}` },
  ];
}

/**
 * Of a program that has shown this: 0 when all of it holds, and 1 otherwise, also when it has shown nothing.
 * @param {Claim[]} claims
 */
export function exitStatus(claims) {
  return claims.length > 0 && claims.every(({ holds }) => holds) ? 0 : 1;
}
