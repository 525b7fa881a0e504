// No page breaks a rule of accessibility, in either theme, on a wide screen or a telephone; and none complains on the console.
import { prepareExamples } from "../examples.ts";
import { expect, expectAccessible, hydration, nobody, test } from "../fixtures.ts";

test.use({ expectedComplaints: /status of 404.*nothing\/here|status of 422.*(create_task|start_run)/ });

const looks = [[1440, "light", "all"], [1440, "dark", "colours"], [390, "light", "structure"]] as const;

test("every page is accessible, in both themes, wide and narrow", async ({ page, browser, watched, api }) => {
  test.setTimeout(600_000);
  const { examples, running } = await prepareExamples(api);
  const stranger = await watched(await (await browser.newContext({ storageState: nobody })).newPage());
  for (const { name, path, signedOut, prepare } of examples) {
    const visitor = signedOut ? stranger : page;
    await test.step(name, async () => {
      await visitor.setViewportSize({ width: 1440, height: 844 });
      await visitor.goto(`${process.env.MUSTER_E2E_URL}${path}`);
      await hydration(visitor);
      await prepare?.(visitor);
      for (const [width, colorScheme, what] of looks) {
        await visitor.setViewportSize({ width, height: 844 });
        await visitor.emulateMedia({ colorScheme, reducedMotion: "reduce" });
        await expectAccessible(visitor, `${name}, ${colorScheme}, ${width}`, what);
        const overflow = await visitor.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
        expect.soft(overflow, `${name} scrolls sideways at ${width}`).toBeLessThanOrEqual(0);
      }
    });
  }
  await stranger.context().close();
  await api.cancel(running);
});
