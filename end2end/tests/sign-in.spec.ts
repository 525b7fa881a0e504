import { expect, owner, signIn, test } from "../fixtures.ts";
import { openPersonMenu } from "../pages.ts";

test.use({ signedOut: true });

test("somebody who is not signed in is asked to, and then sees the page they wanted", async ({ page, visit }) => {
  await visit("/tasks?state=failed");
  await expect(page).toHaveURL(/\/sign-in/);
  await page.getByLabel("E-mail").fill(owner.email);
  await page.getByLabel("Password").fill(owner.password);
  await page.getByRole("button", { name: "Sign in" }).click();
  await expect(page).toHaveURL(/\/tasks\?state=failed$/);
});

test.describe("somebody who signs out", () => {
  // what a page asks for in the moment in which its session ends is refused, and the browser says so
  test.use({ expectedComplaints: /status of 401/ });

  test("ends the session, also for pages that are still open elsewhere", async ({ page, context }) => {
    await signIn(page);
    const other = await context.newPage();
    await other.goto("/tasks");
    await expect(other).toHaveURL(/\/tasks$/);
    await openPersonMenu(page);
    await page.getByRole("button", { name: "Sign out" }).click();
    await expect(page).toHaveURL(/\/sign-in/);
    await other.reload();
    await expect(other).toHaveURL(/\/sign-in/);
  });
});

test.describe("a wrong password", () => {
  test.use({ expectedComplaints: /status of 401/ });

  test("is refused in the same words as an unknown address", async ({ page, visit, hydrated }) => {
    const answers: string[] = [];
    for (const email of [owner.email, "nobody@example.org"]) {
      await visit("/sign-in");
      await page.getByLabel("E-mail").fill(email);
      await page.getByLabel("Password").fill("not the right one at all");
      await page.getByRole("button", { name: "Sign in" }).click();
      const alert = page.getByRole("alert");
      await expect(alert).toBeVisible();
      answers.push(await alert.innerText());
      if (hydrated) await expect(page.getByLabel("E-mail")).toHaveValue(email);
    }
    expect(answers[0]).toBe(answers[1]);
  });
});

test("an address that leads elsewhere after signing in is not followed", async ({ page, visit }) => {
  for (const elsewhere of ["//example.org/", "https://example.org/", "/\\example.org"]) {
    // a page that is still open would ask on, without a cookie
    await page.goto("about:blank");
    await page.context().clearCookies();
    await visit(`/sign-in?next=${encodeURIComponent(elsewhere)}`);
    await page.getByLabel("E-mail").fill(owner.email);
    await page.getByLabel("Password").fill(owner.password);
    await page.getByRole("button", { name: "Sign in" }).click();
    await expect(page).not.toHaveURL(/sign-in/);
    expect(new URL(page.url()).host).toBe(new URL(process.env.MUSTER_E2E_URL ?? "").host);
  }
});

test("setting up is over once there is an owner", async ({ page, visit }) => {
  await visit("/setup?token=anything");
  await expect(page.getByText("This Muster already has its owner.")).toBeVisible();
  await expect(page.getByLabel("Password")).toHaveCount(0);
  await page.getByRole("link", { name: "Sign in" }).click();
  await expect(page.getByRole("heading", { name: "Sign in" })).toBeVisible();
});
