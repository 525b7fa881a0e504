// pg-boss, fetching and completing in batches; its own polling is never faster than every half second.
import { fileURLToPath } from "node:url";
import PgBoss from "pg-boss";
import { connections, measure, sayHowManyEnded } from "./measure.mjs";

const NAME = "bench";
const FETCHERS = 4;
const FETCH = 100;
/** The wait of a fetcher that found nothing. */
const IDLE_MS = 2;
const data = { title: "Measured", repository: "/srv/bench", command: "true" };

const boss = new PgBoss({ connectionString: process.env.DATABASE_URL, max: connections, supervise: false, schedule: false });
boss.on("error", (error) => console.error(error));
await boss.start();

if (process.argv[2] === "worker") {
  let ended = 0;
  const fetcher = async () => {
    for (;;) {
      const jobs = await boss.fetch(NAME, { batchSize: FETCH });
      if (jobs.length === 0) {
        await new Promise((resolve) => setTimeout(resolve, IDLE_MS));
      } else {
        await boss.complete(NAME, jobs.map((job) => job.id));
        ended += jobs.length;
      }
    }
  };
  for (let count = 0; count < FETCHERS; count += 1) void fetcher();
  sayHowManyEnded(() => ended);
} else {
  await boss.createQueue(NAME);
  await measure({
    file: fileURLToPath(import.meta.url),
    add: () => boss.send(NAME, data),
    addMany: (count) => boss.insert(Array.from({ length: count }, () => ({ name: NAME, data }))),
    clear: () => boss.clearStorage(),
    close: () => boss.stop({ graceful: false }),
  });
}
