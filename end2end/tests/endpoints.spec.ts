// Endpoints: the one that the server's runner has found, what it pulls, one that is registered, and which would be chosen.
import { expect, test, unique } from "../fixtures.ts";
import { badge } from "../pages.ts";

// what is registered and is no address; and a page that is fetched again at the moment when its endpoint is removed
test.use({ expectedComplaints: /status of 422.*register_endpoint|status of 404.*find_endpoint/ });

test("an Ollama that a runner has found is shown with its models, and pulls one while one looks on", async ({ page, visit, api, arrives }) => {
  await visit("/endpoints");
  const row = page.getByRole("row").filter({ hasText: "found by the runner on its machine" });
  await arrives((timeout) => expect(row).toContainText("Healthy", { timeout }));
  await row.getByRole("link").click();
  await expect(page).toHaveURL(/\/endpoints\/[0-9a-f-]{36}$/);
  await expect(badge(page, "Healthy")).toBeVisible();
  const runner = (await api.runners()).find((one) => !one.joined);
  const found = page.getByRole("link", { name: runner?.name ?? "", exact: true });
  await expect(found, "whose machine it is on, by name").toHaveAttribute("href", `/runners/${runner?.id}`);
  const models = page.getByRole("table", { name: /^Models of this endpoint/ });
  await expect(models.getByRole("row").filter({ hasText: "fake-large" })).toContainText(/Warm|Cold/);
  await expect(page.getByText("Remove…"), "it goes with its runner").toHaveCount(0);

  const model = unique("slow").replace(" ", "-");
  await page.getByRole("textbox", { name: "Model" }).fill(model);
  await page.getByRole("button", { name: "Pull it" }).click();
  const pull = page.getByRole("listitem").filter({ hasText: model });
  await arrives((timeout) => expect(pull.getByRole("progressbar", { name: `Pulling ${model}` })).toBeVisible({ timeout }));
  await arrives((timeout) => expect(pull).toContainText("Done", { timeout }));
  await arrives((timeout) => expect(models.getByRole("row").filter({ hasText: model })).toContainText("Cold", { timeout }));

  await page.getByRole("textbox", { name: "Model" }).fill(`missing-${model}`);
  await page.getByRole("button", { name: "Pull it" }).click();
  await arrives((timeout) => expect(page.getByText("pull model manifest: file does not exist").first()).toBeVisible({ timeout }));
});

test("a pull is left off", async ({ page, visit, arrives }) => {
  await visit("/endpoints");
  await page.getByRole("row").filter({ hasText: "found by the runner on its machine" }).getByRole("link").click();
  // nothing comes of it, so that it is there until it is left off
  const model = unique("stall").replace(" ", "-");
  await page.getByRole("textbox", { name: "Model" }).fill(model);
  await page.getByRole("button", { name: "Pull it" }).click();
  const pull = page.getByRole("listitem").filter({ hasText: model });
  await arrives((timeout) => expect(pull.getByRole("button", { name: "Leave it off" })).toBeVisible({ timeout }));
  await pull.getByRole("button", { name: "Leave it off" }).click();
  await arrives((timeout) => expect(pull).toContainText("Left off", { timeout }));
});

test("one is registered, does not answer and says why, and is removed", async ({ page, visit, arrives }) => {
  await visit("/endpoints");
  const name = unique("box").replace(" ", "-");
  await page.getByText("Register an Ollama…").click();
  await page.getByRole("textbox", { name: "Name" }).fill(name);
  await page.getByRole("textbox", { name: "Address" }).fill("http://169.254.169.254");
  await page.getByRole("button", { name: "Register it" }).click();
  await arrives((timeout) => expect(page.getByText("That was not done")).toBeVisible({ timeout }));
  await visit("/endpoints");
  await page.getByText("Register an Ollama…").click();
  await page.getByRole("textbox", { name: "Name" }).fill(name);
  await page.getByRole("textbox", { name: "Address" }).fill(`http://${name}.invalid:11434`);
  await page.getByRole("button", { name: "Register it" }).click();
  await expect(page.getByRole("heading", { name, level: 1 })).toBeVisible();
  await arrives((timeout) => expect(badge(page, "Unhealthy")).toBeVisible({ timeout }));
  await expect(page.getByText("It does not answer")).toBeVisible();
  await page.getByText("Remove…").click();
  await page.getByRole("button", { name: `Remove ${name}` }).click();
  await expect(page).toHaveURL(/\/endpoints$/);
  await arrives((timeout) => expect(page.getByRole("row").filter({ hasText: name })).toHaveCount(0, { timeout }));
});

test("an owner lets models be pulled by themselves, and takes it back", async ({ page, visit, hydrated, arrives }) => {
  await visit("/endpoints");
  const part = page.getByRole("region", { name: "Models that nobody has" });
  await expect(part).toContainText("Models are pulled when an admin says so");
  await part.getByText("Pull them by themselves…").click();
  const allow = part.getByRole("button", { name: "Pull models by themselves" });
  await expect(allow).toBeVisible();
  await expect(part).toContainText("fill the disks of these machines");
  // the workspace is everybody's: one of the two changes it
  if (hydrated) return;

  await allow.click();
  const back = part.getByRole("button", { name: "Pull models by hand" });
  await arrives((timeout) => expect(back).toBeVisible({ timeout }));
  await expect(part).toContainText("Said by");
  await back.click();
  await arrives((timeout) => expect(part.getByText("Pull them by themselves…")).toBeVisible({ timeout }));
});

test("it is said which one would be chosen for a model, and why", async ({ page, visit }) => {
  await visit("/endpoints?model=fake-small");
  const table = page.getByRole("table", { name: "Endpoints for fake-small, the best first" });
  await expect(table.getByText("Chosen")).toBeVisible();
  await expect(table).toContainText(/it has (the model loaded|to load the model first)/);
  await page.getByRole("textbox", { name: "Model" }).fill("nobody-has-it");
  await page.getByRole("button", { name: "Choose" }).click();
  await expect(page.getByText("None for nobody-has-it")).toBeVisible();
  // nothing would work there, so on a telephone its card is not about how busy it is
  const load = page.getByRole("table", { name: "Endpoints for nobody-has-it, the best first" }).locator("td[data-label=Load]").first();
  await expect(load).toBeAttached();
  await page.setViewportSize({ width: 390, height: 844 });
  await expect(load).toBeHidden();
});
