import { expect, test, unique } from "../fixtures.ts";
import { badge, openView } from "../pages.ts";

test("an agent that a runner knows from a manifest is chosen by its name, and its work is read and proven", async ({ page, visit, api, arrives }) => {
  await visit("/tasks/new");
  await page.getByLabel("Title").fill(unique("Hear it"));
  await page.getByLabel("Repository").fill(api.repository);
  await page.getByRole("radio", { name: "Prompt" }).check();
  await page.getByLabel("Prompt for an agent").fill("Write down what you hear.");
  await page.getByLabel("Kind of check 1").selectOption("file_exists");
  await page.getByLabel("Target of check 1").fill("heard.txt");
  await page.getByText("More: priority").click();
  await page.getByLabel("Agent", { exact: true }).selectOption({ label: "heard (own)" });
  await page.getByRole("button", { name: "Create task" }).click();
  await expect(page).toHaveURL(/\/tasks\/[0-9a-f-]{36}$/);
  await arrives((timeout) => expect(badge(page, "Succeeded")).toBeVisible({ timeout }));
  await expect(badge(page, "Verified")).toBeVisible();
  await openView(page, "Session");
  await expect(page.getByText("heard (own) 1.4.2").first()).toBeVisible();
  await expect(page.getByText("I have heard it.")).toBeVisible();
  await visit("/runners");
  await expect(page.getByText("heard (own) 1.4.2").first()).toBeVisible();
});

test.describe("an agent that asks nobody", () => {
  test.use({ expectedComplaints: /status of 422/ });

  test("is not let promise that people are asked", async ({ page, visit, api }) => {
    await visit("/tasks/new");
    await page.getByLabel("Title").fill(unique("Ask"));
    await page.getByLabel("Repository").fill(api.repository);
    await page.getByRole("radio", { name: "Prompt" }).check();
    await page.getByLabel("Prompt for an agent").fill("Ask before you do it.");
    await page.getByText("More: priority").click();
    await page.getByLabel("Agent", { exact: true }).selectOption("own:heard");
    await page.getByLabel("Asks people for").selectOption("commands");
    await page.getByRole("button", { name: "Create task" }).click();
    await expect(page.getByRole("alert")).toContainText("asks nobody");
    await expect(page.getByLabel("Agent", { exact: true })).toHaveValue("own:heard");
  });
});
