// No page breaks a rule of accessibility, in either theme, on a wide screen or a telephone; and none complains on the console.
import { prepareExamples } from "../examples.ts";
import { expect, expectAccessible, hydration, nobody, test } from "../fixtures.ts";

test.use({ expectedComplaints: [/status of 404.*nothing\/here/, /status of 422.*create_task/] });

test("every page is accessible, in both themes, wide and narrow", async ({ page, browser, watched, api }) => {
  test.setTimeout(400_000);
  const { examples, running } = await prepareExamples(api);
  const stranger = await watched(await (await browser.newContext({ storageState: nobody })).newPage());
  for (const colorScheme of ["light", "dark"] as const) {
    for (const width of [1440, 390]) {
      for (const visitor of [page, stranger]) {
        await visitor.emulateMedia({ colorScheme, reducedMotion: "reduce" });
        await visitor.setViewportSize({ width, height: 844 });
      }
      for (const { name, path, signedOut, prepare } of examples) {
        const visitor = signedOut ? stranger : page;
        await test.step(`${name}, ${colorScheme}, ${width}`, async () => {
          await visitor.goto(`${process.env.MUSTER_E2E_URL}${path}`);
          await hydration(visitor);
          await prepare?.(visitor);
          await expectAccessible(visitor, `${name}, ${colorScheme}, ${width}`);
          const overflow = await visitor.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
          expect.soft(overflow, `${name} scrolls sideways at ${width}`).toBe(0);
        });
      }
    }
  }
  await stranger.context().close();
  await api.cancel(running);
});
