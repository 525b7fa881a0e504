// How every peer is measured: the same numbers of clients and jobs as our side, taken from the environment, and one line of JSON.
import { fork } from "node:child_process";

const number = (name) => Number(process.env[name]);
const SECONDS = number("BENCH_SECONDS");
const CLIENTS = number("BENCH_CLIENTS");
const BATCH = number("BENCH_BATCH");
const BATCH_CLIENTS = number("BENCH_BATCH_CLIENTS");
const LIVES = number("BENCH_LIVES");
const BATCH_LIVES = number("BENCH_BATCH_LIVES");
/** How often a worker says how many jobs have ended. */
const SAY_EVERY_MS = 20;

export const connections = CLIENTS;

/** So many loops at once, until `goesOn` says no; the seconds it took. */
async function loops(count, goesOn, act) {
  const began = performance.now();
  const loop = async () => {
    while (goesOn()) await act();
  };
  await Promise.all(Array.from({ length: count }, loop));
  return (performance.now() - began) / 1000;
}

/** How often `act` is done each second. */
async function rate(clients, seconds, act) {
  let done = 0;
  const until = performance.now() + seconds * 1000;
  const took = await loops(clients, () => performance.now() < until, async () => {
    await act();
    done += 1;
  });
  return done / took;
}

/** Jobs that began and ended each second, from the first one's creation to the last one's end. */
async function lives({ file, isSettled }, total, size, clients, act) {
  const worker = await startWorker(file);
  const began = performance.now();
  let left = total;
  await loops(clients, () => (left -= size) >= 0, act);
  await worker.hasEnded(total);
  while (!(await isSettled())) await new Promise((resolve) => setTimeout(resolve, 2));
  const took = (performance.now() - began) / 1000;
  await worker.stop();
  return total / took;
}

/** A process of its own, as a queue's workers are. */
async function startWorker(file) {
  const child = fork(file, ["worker"]);
  let ended = 0;
  let wake = () => {};
  const ready = new Promise((resolve) => {
    child.on("message", (message) => {
      if (message.ready) resolve();
      ended = message.ended ?? ended;
      wake();
    });
  });
  await ready;
  return {
    async hasEnded(total) {
      while (ended < total) await new Promise((resolve) => { wake = resolve; });
    },
    stop: () => new Promise((resolve) => { child.once("exit", resolve); child.kill("SIGKILL"); }),
  };
}

/** For the worker's side: says it is ready, and from then on how many jobs have ended. */
export function sayHowManyEnded(ended) {
  let said = 0;
  process.send({ ready: true });
  setInterval(() => {
    if (ended() !== said) process.send({ ended: (said = ended()) });
  }, SAY_EVERY_MS);
}

/**
 * Measures one peer and prints what came out. `add` makes one job, `addMany` so many at once, `clear` forgets all of them, `isSettled`
 * says whether what the worker has ended is stored. `file` is the script itself, which is its own worker.
 */
export async function measure({ file, add, addMany, clear, close, isSettled = async () => true }) {
  const addBatch = () => addMany(BATCH);
  await rate(CLIENTS, 1, add);
  await clear();
  const adds = await rate(CLIENTS, SECONDS, add);
  await clear();
  const batchAdds = (await rate(BATCH_CLIENTS, SECONDS, addBatch)) * BATCH;
  await clear();
  const singleLives = await lives({ file, isSettled }, LIVES, 1, CLIENTS, add);
  await clear();
  const batchLives = await lives({ file, isSettled }, BATCH_LIVES, BATCH, BATCH_CLIENTS, addBatch);
  console.log(JSON.stringify({ creates: adds, lives: singleLives, batch_creates: batchAdds, batch_lives: batchLives }));
  await close();
  process.exit(0);
}
