// No page breaks a rule of accessibility, in either theme, on a wide screen or a telephone; and none complains on the console.
import { type Example, prepareExamples } from "../examples.ts";
import { expect, expectAccessible, hydration, test } from "../fixtures.ts";

test.describe.configure({ mode: "serial", timeout: 240_000 });
test.use({ expectedComplaints: [/status of 404.*nothing\/here/, /status of 422/] });

let examples: Example[] = [];
let running: string | undefined;

test("there is one of everything", async ({ api }) => {
  ({ examples, running } = await prepareExamples(api));
  expect(examples.length).toBeGreaterThan(20);
});

for (const colorScheme of ["light", "dark"] as const) {
  for (const width of [1440, 390]) {
    test(`every page is accessible: ${colorScheme}, ${width} pixels wide`, async ({ page, browser, watched }) => {
      const stranger = await watched(await browser.newPage());
      for (const visitor of [page, stranger]) {
        await visitor.emulateMedia({ colorScheme, reducedMotion: "reduce" });
        await visitor.setViewportSize({ width, height: 844 });
      }
      for (const example of examples) {
        const visitor = example.signedOut ? stranger : page;
        await test.step(example.name, async () => {
          await visitor.goto(`${process.env.MUSTER_E2E_URL}${example.path}`);
          await hydration(visitor);
          await example.prepare?.(visitor);
          await expectAccessible(visitor, example.name);
          const overflow = await visitor.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
          expect.soft(overflow, `${example.name} scrolls sideways`).toBe(0);
        });
      }
      await stranger.close();
    });
  }
}

test("what was made for this is ended", async ({ api }) => {
  if (running) await api.cancel(running);
});
