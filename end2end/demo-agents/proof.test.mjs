// What the demo's exit status says. `node --test proof.test.mjs`; nothing is started.
import assert from "node:assert/strict";
import { test } from "node:test";
import { alone, exitStatus, survived } from "./proof.mjs";

const holds = { holds: true, what: "It holds" };
const fails = { holds: false, what: "It does not" };

test("one claim that does not hold is an exit status of 1, and so is none at all", () => {
  assert.equal(exitStatus([holds, holds]), 0);
  assert.equal(exitStatus([holds, fails, holds]), 1);
  assert.equal(exitStatus([]), 1);
});

test("where everything has to be tried, what cannot be does not hold", () => {
  const machines = /** @type {any[]} */ ([{ name: "left", links: undefined }, { name: "right", links: undefined }]);
  assert.equal(exitStatus([holds, ...alone(machines, "network namespaces take root", true)]), 1);
  assert.equal(exitStatus([holds, ...alone(machines, "network namespaces take root", false)]), 0);
  const apart = machines.map((machine) => ({ ...machine, links: ["lo"] }));
  assert.deepEqual(alone(apart, undefined, true).map((claim) => claim.holds), [true, true]);
  assert.equal(exitStatus(alone(apart.map((machine) => ({ ...machine, links: ["lo", "eth0"] })), undefined, true)), 1);
});

test("a runner that was killed when nothing was at work has shown nothing", () => {
  const task = { attempts: 2, attempt_list: [{ state: "lost", runner: "left" }, { runner: "right" }] };
  const failing = (/** @type {number} */ running) => {
    const death = { killed: /** @type {any} */ ({ name: "left" }), at: 0, running, left: [] };
    const claims = survived({ task, session: [], approvals: [] }, "/nowhere", death, []);
    return claims.filter((claim) => !claim.holds).map(({ what }) => what);
  };
  const atWork = (/** @type {string[]} */ claims) => claims.filter((what) => what.startsWith("The attempt was at work"));
  assert.equal(atWork(failing(0)).length, 1);
  assert.deepEqual(atWork(failing(3)), []);
});
