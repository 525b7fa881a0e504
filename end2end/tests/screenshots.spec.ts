// Not a test: a picture of every page for people to look at. `make screenshots`.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { type Example, prepareExamples } from "../examples.ts";
import { hydration, test } from "../fixtures.ts";

test.describe.configure({ mode: "serial", timeout: 300_000 });
test.use({ expectedComplaints: [/./] });

const folder = process.env.SCREENSHOTS ?? "/tmp/muster-screenshots";
let examples: Example[] = [];
let running: string | undefined;

test("there is one of everything", async ({ api }) => {
  ({ examples, running } = await prepareExamples(api));
});

for (const colorScheme of ["light", "dark"] as const) {
  for (const [width, height] of [[390, 844], [768, 1024], [1440, 900]] as const) {
    test(`${colorScheme}, ${width} pixels wide`, async ({ page, browser, watched }) => {
      mkdirSync(folder, { recursive: true });
      const stranger = await watched(await browser.newPage());
      for (const example of examples) {
        const visitor = example.signedOut ? stranger : page;
        await visitor.emulateMedia({ colorScheme, reducedMotion: "reduce" });
        await visitor.setViewportSize({ width, height });
        await visitor.goto(`${process.env.MUSTER_E2E_URL}${example.path}`);
        await hydration(visitor);
        await example.prepare?.(visitor);
        await visitor.screenshot({ path: join(folder, `${example.name}-${width}-${colorScheme}.png`) });
      }
      await stranger.close();
    });
  }
}

test("what was made for this is ended", async ({ api }) => {
  if (running) await api.cancel(running);
});
