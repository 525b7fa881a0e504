// Addresses that lead nowhere, and requests that come from somewhere else.
import { createServer } from "node:http";
import { once } from "node:events";
import { expect, test, unique } from "../fixtures.ts";

test.describe("an address that leads nowhere", () => {
  test.use({ expectedComplaints: /status of 404/ });

  for (const path of ["/nothing/here", "/tasks/not-an-id", "/tasks/0190a2b4-7d34-7c11-8a52-0123456789ab"]) {
    test(`says so, and is a 404: ${path}`, async ({ page }) => {
      const answer = await page.goto(path);
      expect(answer?.status()).toBe(404);
      await expect(page.getByRole("heading", { name: /not found|nothing at this address/i }).first()).toBeVisible();
      await expect(page.getByRole("link", { name: "Overview" }).first()).toBeVisible();
    });
  }
});

test.describe("a form on somebody else's page", () => {
  test.use({ expectedComplaints: /status of 403/ });

  test("cannot sign a person out or cancel their task, although the browser sends the cookie along", async ({ page, api }) => {
    const id = await api.createTask({ title: unique("Mine"), command: "sleep 30" });
    await api.reaches(id, "running");
    const victim = process.env.MUSTER_E2E_URL;
    const other = createServer((request, response) => {
      const path = request.url === "/cancel" ? "cancel_task" : "sign_out";
      response.setHeader("content-type", "text/html");
      response.end(`<form method="post" action="${victim}/_fn/${path}"><input name="id" value="${id}"><button>Win a prize</button></form>`);
    }).listen(0, "127.0.0.1");
    await once(other, "listening");
    const address = other.address();
    if (address === null || typeof address === "string") throw new Error("no port");
    try {
      for (const path of ["cancel", "sign-out"]) {
        // another port of the same machine is the same site, so SameSite cookies are sent
        await page.goto(`http://127.0.0.1:${address.port}/${path}`);
        const [answer] = await Promise.all([
          page.waitForResponse((response) => response.url().includes("/_fn/")),
          page.getByRole("button", { name: "Win a prize" }).click(),
        ]);
        expect(answer.status(), path).toBe(403);
      }
      await page.goto("/tasks");
      await expect(page).toHaveURL(/\/tasks$/);
      expect(await api.state(id)).toBe("running");
    } finally {
      other.closeAllConnections();
      other.close();
      await api.cancel(id);
    }
  });
});

test("no page is put in a frame, and every answer says what it is", async ({ page }) => {
  for (const path of ["/", "/sign-in", "/tasks", "/api/v1/tasks", "/favicon.svg"]) {
    const headers = (await page.request.get(path)).headers();
    expect(headers["x-content-type-options"], path).toBe("nosniff");
    if (!headers["content-type"]?.startsWith("text/html")) continue;
    const policy = headers["content-security-policy"] ?? "";
    expect(policy, path).toContain("frame-ancestors 'none'");
    expect(policy, path).toContain("object-src 'none'");
    expect(policy, path).toContain("base-uri 'none'");
    expect(policy, path).toMatch(/script-src[^;]*'nonce-/);
    expect(policy, path).not.toMatch(/script-src[^;]*'unsafe-(inline|eval)'/);
  }
});
