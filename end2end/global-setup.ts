// Starts the Muster under test once before all tests, from the debug build that `cargo xtask build` made, and deletes it after them.
// What it wrote is kept in test-results/server.log; a panic in there fails the run, whatever the tests saw.
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { FullConfig } from "@playwright/test";
import { binary, createOwnerAndKey, fakeProvider, manifests, remove, sampleRepository, serve, settings, signs, temporaryFolder } from "./muster.mjs";

/** One for each browser's test, and one that the look at every page holds from its beginning to its end. */
const slots = "3";

export default async function start(config: FullConfig): Promise<() => Promise<void>> {
  const results = join(config.configFile ?? ".", "../test-results");
  mkdirSync(results, { recursive: true });
  const muster = binary("debug");
  const folder = temporaryFolder();
  const own = await settings(folder);
  const log = join(results, "server.log");
  const go = join(signs(folder), "session");
  const waits = { name: "waits", when: "fake:waits", steps: [{ say: [{ text: "I look around." }, { run: `until [ -e ${go} ]; do sleep 0.05; done; echo seen` }] }, { say: [{ text: "That is all." }] }] };
  const asks = { name: "asks", when: "fake:asks", steps: [{ say: [{ text: "I begin." }, { run: "touch made.txt" }] }, { say: [{ text: "That is all." }] }] };
  const sleeps = { name: "sleeps", when: "fake:sleeps", steps: [{ say: [{ text: "I lie down." }, { run: "touch begun.txt; sleep 300" }] }, { say: [{ text: "That is all." }] }] };
  const releases = { name: "releases", when: "fake:releases", steps: [{ say: [{ text: "I write down what is new." }, { run: "make release-notes" }] }, { say: [{ run: "make publish" }] }, { say: [{ text: "It is released." }] }] };
  const provider = await fakeProvider(muster, folder, [waits, asks, sleeps, releases]);
  const server = await serve(muster, { ...own, env: { ...own.env, ...provider.env, MUSTER_SLOTS: slots, MUSTER_AGENTS_DIR: manifests(folder) } }, log).catch((error: unknown) => {
    // or this process would wait for it
    provider.stop();
    throw error;
  });
  const stop = async () => {
    await server.stop();
    provider.stop();
    remove(folder);
    const panics = readFileSync(log, "utf8").split("\n").filter((line) => line.includes(" panicked at "));
    if (panics.length > 0) throw new Error(`the server panicked ${panics.length} times: ${panics[0]}; see ${log}`);
  };
  try {
    process.env.MUSTER_E2E_KEY = createOwnerAndKey(muster, own.env);
    process.env.MUSTER_E2E_REPOSITORY = sampleRepository(join(folder, "acme/greetings"));
    process.env.MUSTER_E2E_SIGNS = signs(folder);
    process.env.MUSTER_E2E_URL = own.url;
  } catch (error) {
    await stop();
    throw error;
  }
  return stop;
}
