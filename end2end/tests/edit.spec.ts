import { expect, test, unique } from "../fixtures.ts";

test("a waiting task is renamed and put into another lane, and its timeline says so", async ({ page, visit, api }) => {
  const title = unique("Wait here");
  const id = await api.createTask({ title, command: "true", repository: await api.heldRepository(), tags: ["old"] });
  await visit(`/tasks/${id}`);
  await page.getByRole("link", { name: "Edit" }).click();
  await expect(page).toHaveURL(`/tasks/${id}/edit`);
  await expect(page.getByLabel("Title")).toHaveValue(title);
  await page.getByLabel("Title").fill(`${title} again`);
  await page.getByLabel("Priority").selectOption("urgent");
  await page.getByLabel("Tags").fill("new web");
  await page.getByRole("button", { name: "Save" }).click();
  await expect(page).toHaveURL(`/tasks/${id}`);
  await expect(page.getByRole("heading", { level: 1, name: `${title} again` })).toBeVisible();
  await visit(`/tasks/${id}?view=timeline`);
  await expect(page.getByText(`Changed title “${title}” → “${title} again”, priority normal → urgent, tags old → new web`)).toBeVisible();
  await api.cancel(id);
});

test.describe("a task that somebody else changes meanwhile", () => {
  test.use({ expectedComplaints: /status of (412|422)/ });

  test("is changed only once that was seen, and what was typed stays", async ({ page, visit, api }) => {
    const title = unique("Both want it");
    const id = await api.createTask({ title, command: "true", repository: await api.heldRepository() });
    await visit(`/tasks/${id}/edit`);
    await page.getByLabel("Title").fill(`${title}, as typed`);
    await api.pause(id);
    await page.getByRole("button", { name: "Save" }).click();
    const alert = page.getByRole("main").getByRole("alert");
    await expect(alert).toContainText("It has changed meanwhile");
    await expect(alert).toContainText("Paused");
    // the form is about the task as it is now
    await expect(page.locator('input[name="form[version]"]')).toHaveValue("2");
    await expect(page.getByLabel("Title")).toHaveValue(`${title}, as typed`);
    await page.getByLabel("Attempts at most").fill("0");
    await page.getByRole("button", { name: "Save" }).click();
    await expect(page.getByLabel("Attempts at most")).toHaveAttribute("aria-invalid", "true");
    await page.getByLabel("Attempts at most").fill("4");
    await page.getByRole("button", { name: "Save" }).click();
    await expect(page.getByRole("heading", { level: 1, name: `${title}, as typed` })).toBeVisible();
    await api.cancel(id);
  });
});

test("what has ended cannot be edited", async ({ page, visit, api }) => {
  const id = await api.createTask({ title: unique("Over"), command: "true" });
  await api.reaches(id, "succeeded");
  await visit(`/tasks/${id}`);
  await expect(page.getByRole("link", { name: "Duplicate" })).toBeVisible();
  await expect(page.getByRole("link", { name: "Edit" })).toHaveCount(0);
  await visit(`/tasks/${id}/edit`);
  await expect(page.getByText("It has ended")).toBeVisible();
});
