// graphile-worker with what its documents recommend for many small jobs: a local queue, and completion in batches.
import { fileURLToPath } from "node:url";
import { Logger, makeWorkerUtils, run } from "graphile-worker";
import pg from "pg";
import { connections, measure, sayHowManyEnded } from "./measure.mjs";

const NAME = "bench";
const CONCURRENCY = 24;
const LOCAL_QUEUE = 500;
const connectionString = process.env.DATABASE_URL;
const logger = new Logger(() => (level, message) => { if (level === "error") console.error(message); });
const data = { title: "Measured", repository: "/srv/bench", command: "true" };

if (process.argv[2] === "worker") {
  let ended = 0;
  const runner = await run({
    preset: {
      worker: {
        connectionString, logger, concurrentJobs: CONCURRENCY, maxPoolSize: CONCURRENCY + 2,
        localQueue: { size: LOCAL_QUEUE }, completeJobBatchDelay: 0, failJobBatchDelay: 0,
      },
    },
    noHandleSignals: true,
    taskList: { [NAME]: async () => {} },
  });
  runner.events.on("job:complete", () => { ended += 1; });
  sayHowManyEnded(() => ended);
} else {
  const pgPool = new pg.Pool({ connectionString, max: connections });
  pgPool.on("error", (error) => console.error(error));
  const utils = await makeWorkerUtils({ pgPool, logger });
  await utils.migrate();
  await measure({
    file: fileURLToPath(import.meta.url),
    add: () => utils.addJob(NAME, data),
    addMany: (count) => utils.addJobs(Array.from({ length: count }, () => ({ identifier: NAME, payload: data }))),
    clear: () => pgPool.query("truncate graphile_worker._private_jobs restart identity"),
    // what is completed in batches has ended once the database says so
    isSettled: async () => (await pgPool.query("select not exists (select from graphile_worker._private_jobs) as yes")).rows[0].yes,
    close: () => utils.release(),
  });
}
