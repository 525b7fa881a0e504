import { expect, test } from "../fixtures.ts";

test("an owner lets work run without a sandbox, every page says so, and it is taken back", async ({ page, visit, hydrated, arrives }) => {
  await visit("/runners");
  const isolation = page.getByRole("region", { name: "Isolation" });
  await expect(isolation).toContainText("run in a sandbox");
  await isolation.getByText("Work without a sandbox…").click();
  const without = isolation.getByRole("button", { name: "Run work without a sandbox" });
  await expect(without).toBeVisible();
  await expect(isolation).toContainText("keys and other people's work included");
  // the workspace is everybody's: one of the two changes it
  if (hydrated) return;

  await without.click();
  const back = isolation.getByRole("button", { name: "Run work in sandboxes" });
  await arrives((timeout) => expect(back).toBeVisible({ timeout }));
  await expect(isolation).toContainText("Said by");
  const bar = page.getByRole("complementary", { name: "Isolation" });
  for (const path of ["/", "/tasks", "/queue"]) {
    await visit(path);
    await expect(bar).toContainText("runs without a sandbox");
  }
  await bar.getByRole("link", { name: "Change" }).click();
  await back.click();
  await arrives((timeout) => expect(isolation.getByText("Work without a sandbox…")).toBeVisible({ timeout }));
  await visit("/tasks");
  await expect(bar).toHaveCount(0);
});
