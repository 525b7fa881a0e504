import { generateKeyPairSync } from "node:crypto";
import { expect, test, unique } from "../fixtures.ts";

test("a machine is added by a command that is shown once, and removed", async ({ page, visit, request, hydrated, arrives }) => {
  await visit("/runners");
  const rows = page.getByRole("row");
  await expect(rows.filter({ hasText: "inside the server" }).first()).toContainText(/Ready|Working/);
  await page.getByRole("button", { name: "Add a machine" }).click();
  const command = page.locator(".c-command code");
  await expect(command).toContainText("muster runner join http");
  const [, , , origin, token] = ((await command.textContent()) ?? "").split(" ");

  // as the command does it
  const key = generateKeyPairSync("ed25519").publicKey.export({ format: "jwk" }).x ?? "";
  const name = unique("box");
  const data = { token, name, public_key: Buffer.from(key, "base64url").toString("base64") };
  const joined = await request.post(`${origin}/api/v1/runners`, { data });
  expect(joined.status(), await joined.text()).toBe(201);
  await visit("/runners");
  await expect(command, "the token is not shown again").toHaveCount(0);
  const row = rows.filter({ hasText: name });
  await expect(row).toContainText("Offline");
  await expect(row).toContainText("joined this workspace");
  await row.getByText("Remove…").click();
  await row.getByRole("button", { name: `Remove ${name}` }).click();
  await arrives((timeout) => expect(row).toHaveCount(0, { timeout }));
  if (hydrated) await expect(page.getByText("It is removed, and its key is dead")).toBeVisible();
  const again = await request.post(`${origin}/api/v1/runners`, { data });
  expect(again.status(), "its token was used").toBe(401);
});
