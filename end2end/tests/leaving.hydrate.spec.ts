// People leave pages that are still on their way: they click on, reload, close the tab. That a server which panicked meanwhile fails the
// whole run is seen to in global-setup.ts.
import { expect, test, unique } from "../fixtures.ts";

const leavers = { count: 4, visits: 120, patience: 60 };
const stayers = { count: 2, visits: 10, patience: 30_000 };

test("who stays gets whole pages while others leave theirs", async ({ page, visit, api }) => {
  const title = unique("Much later");
  const id = await api.createTask({ title, command: "true", run_at: "2999-01-01T00:00:00Z" });
  await visit(`/tasks/${id}`);
  const headers = { cookie: (await page.context().cookies()).map(({ name, value }) => `${name}=${value}`).join("; ") };
  /** The page, or nothing when it did not come in time. */
  const wait = async (ms: number) => {
    try {
      const answer = await fetch(page.url(), { headers, signal: AbortSignal.timeout(ms) });
      return { status: answer.status, text: await answer.text() };
    } catch {
      return undefined;
    }
  };
  let left = 0;
  const leaves = async () => {
    for (let visits = 0; visits < leavers.visits; visits++) {
      if (!(await wait(Math.ceil(Math.random() * leavers.patience)))) left++;
    }
  };
  const stays = async () => {
    for (let visits = 0; visits < stayers.visits; visits++) {
      const answer = await wait(stayers.patience);
      expect(answer?.status).toBe(200);
      expect(answer?.text).toContain(title);
      expect(answer?.text).toContain("</html>");
    }
  };
  await Promise.all([...Array.from({ length: leavers.count }, leaves), ...Array.from({ length: stayers.count }, stays)]);
  expect(left, "nobody left, so nothing was tried").toBeGreaterThan(leavers.visits);
  await api.cancel(id);
});
