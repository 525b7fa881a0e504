// BullMQ on a Redis that syncs every write before it answers.
import { fileURLToPath } from "node:url";
import { Queue, Worker } from "bullmq";
import { measure, sayHowManyEnded } from "./measure.mjs";

const NAME = "bench";
/** Jobs at once in the worker; beyond this its figure does not rise. */
const CONCURRENCY = 100;
const connection = { host: "127.0.0.1", port: Number(process.env.REDIS_PORT), maxRetriesPerRequest: null };
const data = { title: "Measured", repository: "/srv/bench", command: "true" };

if (process.argv[2] === "worker") {
  let ended = 0;
  const worker = new Worker(NAME, async () => {}, { connection, concurrency: CONCURRENCY });
  worker.on("completed", () => { ended += 1; });
  await worker.waitUntilReady();
  sayHowManyEnded(() => ended);
} else {
  const queue = new Queue(NAME, { connection });
  await queue.waitUntilReady();
  await measure({
    file: fileURLToPath(import.meta.url),
    add: () => queue.add("work", data),
    addMany: (count) => queue.addBulk(Array.from({ length: count }, () => ({ name: "work", data }))),
    clear: () => queue.obliterate({ force: true }),
    close: () => queue.close(),
  });
}
