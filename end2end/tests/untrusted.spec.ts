// What an agent or a stranger wrote is shown and never obeyed. Dialogs, errors and breaches of the content policy fail every test.
import { expect, test, unique } from "../fixtures.ts";
import { log, openView, output, taskRow } from "../pages.ts";

test("a title, a command, a log and a diff with markup in them stay text", async ({ page, visit, api }) => {
  const plain = unique("Markup");
  const title = `${plain} <img src=x onerror=alert(1)></script><script>alert(2)</script> {{7*7}}`;
  const command = [
    `echo '<script>alert(3)</script> <img src=x onerror=alert(4)>'`,
    `echo '</td></table><script>alert(5)</script>' > page.html`,
    `echo '[a](javascript:alert(6)) "><svg onload=alert(7)>' > '<b>name.md'`,
  ].join("\n");
  const id = await api.createTask({ title, command, checks: [{ kind: "command_succeeds", target: "echo '<script>alert(8)</script>'; false" }] });
  await api.reaches(id, "failed");

  await visit(`/tasks/${id}`);
  await expect(page.getByRole("heading", { level: 1 })).toHaveText(title);
  expect(await page.title()).toContain(plain);
  await expect(log(page)).toContainText("<script>alert(3)</script> <img src=x onerror=alert(4)>");
  await openView(page, "Checks");
  await expect(page.getByRole("region", { name: "Output of Command succeeds" })).toContainText("<script>alert(8)</script>");
  await openView(page, "Diff");
  await expect(page.getByRole("main")).toContainText("+</td></table><script>alert(5)</script>");
  await expect(page.getByRole("main")).toContainText("<b>name.md");
  await openView(page, "Definition");
  await expect(page.getByRole("region", { name: "Command", exact: true })).toContainText("onerror=alert(4)");
  expect(await page.locator("main img, main svg[onload], main script, main b").count()).toBe(0);
  await visit(`/tasks?text=${encodeURIComponent("<img src=x onerror=alert(1)>")}`);
  await expect(taskRow(page, title)).toBeVisible();
  await visit("/");
  await expect(page.getByRole("link", { name: title })).toBeVisible();
});

test("colours of a log are kept; links, titles, the clipboard and cursor moves are not", async ({ page, visit, api }) => {
  const parts = [
    "\\033[31mred words\\033[0m plain words\\n",
    "\\033]8;;https://example.org/evil\\033\\\\linked words\\033]8;;\\033\\\\\\n",
    "\\033]0;stolen title\\007after the title\\n",
    "\\033]52;c;c3RvbGVu\\007after the clipboard\\n",
    "\\033[2J\\033[1;1Hafter the move\\007\\n",
    "half 1%%\\rwhole 100%%\\n",
  ];
  const id = await api.createTask({ title: unique("Colours"), command: `printf '${parts.join("")}'` });
  await api.reaches(id, "succeeded");
  await visit(`/tasks/${id}`);
  const red = output(page).getByText("red words", { exact: true });
  const plain = output(page).filter({ hasText: "plain words" });
  await expect(red).toBeVisible();
  const colour = (element: Element) => getComputedStyle(element).color;
  expect(await red.evaluate(colour)).not.toBe(await plain.evaluate(colour));
  for (const words of ["linked words", "after the title", "after the clipboard", "after the move", "whole 100%"]) {
    await expect(output(page).filter({ hasText: words })).toHaveCount(1);
  }
  const shown = (await output(page).allTextContents()).join("\n");
  expect(shown).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/);
  expect(shown).not.toMatch(/stolen title|c3RvbGVu|example\.org/);
  await expect(log(page).getByRole("link", { name: "linked words" })).toHaveCount(0);
  expect(await page.title()).not.toContain("stolen");

  const raw = await api.rawLog(id);
  expect(raw).toContain("\u001b[31mred words\u001b[0m");
  expect(raw).toContain("\u001b]8;;https://example.org/evil");
});

test("a raw log and a raw diff are files for download, whatever they hold", async ({ visit, api, page }) => {
  const id = await api.createTask({ title: unique("Page"), command: "echo '<!doctype html><script>alert(1)</script>' | tee page.html" });
  await api.reaches(id, "succeeded");
  await visit(`/tasks/${id}?view=diff`);
  const diff = await page.getByRole("link", { name: "Raw" }).getAttribute("href");
  for (const address of [`/api/v1/tasks/${id}/log`, `/api/v1/tasks/${id}/log?download=1`, diff ?? ""]) {
    const headers = (await page.request.get(address)).headers();
    expect(headers["content-type"], address).toMatch(/^(text\/(plain|x-diff|x-patch)|application\/octet-stream)/);
    expect(headers["content-disposition"], address).toMatch(/^attachment/);
    expect(headers["x-content-type-options"], address).toBe("nosniff");
    expect(headers["content-security-policy"], address).toMatch(/sandbox/);
  }
});
