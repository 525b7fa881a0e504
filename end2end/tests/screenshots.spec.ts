// Not a test: a picture of every page for people to look at. `make screenshots`.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { prepareExamples } from "../examples.ts";
import { hydration, nobody, test } from "../fixtures.ts";

test.use({ expectedComplaints: /./ });

const folder = process.env.SCREENSHOTS ?? "/tmp/muster-screenshots";
const sizes = [[390, 844], [768, 1024], [1440, 900]] as const;

test("a picture of every page", async ({ page, browser, watched, api }) => {
  test.setTimeout(900_000);
  mkdirSync(folder, { recursive: true });
  const { examples, running } = await prepareExamples(api);
  const stranger = await watched(await (await browser.newContext({ storageState: nobody })).newPage());
  for (const { name, path, signedOut, prepare } of examples) {
    const visitor = signedOut ? stranger : page;
    await visitor.setViewportSize({ width: 1440, height: 900 });
    await visitor.goto(`${process.env.MUSTER_E2E_URL}${path}`);
    await hydration(visitor);
    await prepare?.(visitor);
    for (const [width, height] of sizes) {
      await visitor.setViewportSize({ width, height });
      for (const colorScheme of ["light", "dark"] as const) {
        await visitor.emulateMedia({ colorScheme, reducedMotion: "reduce" });
        await visitor.screenshot({ path: join(folder, `${name}-${width}-${colorScheme}.png`) });
      }
    }
  }
  await stranger.context().close();
  await api.cancel(running);
});
