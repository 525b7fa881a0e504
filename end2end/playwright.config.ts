// Every flow runs twice: in a browser with JavaScript, and in one without. Files named *.hydrate.spec.ts need it and run once.
import { defineConfig, type PlaywrightTestConfig } from "@playwright/test";
import { browser, browserFlags } from "./muster.mjs";

const chromium: PlaywrightTestConfig["use"] = {
  browserName: "chromium",
  launchOptions: { executablePath: browser(), args: browserFlags },
};

export default defineConfig({
  testDir: "tests",
  globalSetup: "./global-setup.ts",
  // More browsers would only wait for each other on a small machine, and for the slots of the server under test.
  workers: 2,
  fullyParallel: true,
  forbidOnly: !!process.env.CI,
  retries: 0,
  timeout: 60_000,
  expect: { timeout: 15_000 },
  reporter: process.env.PLAYWRIGHT_JSON_OUTPUT_NAME ? [["list"], ["json"]] : [["list"]],
  use: { ...chromium, baseURL: process.env.MUSTER_E2E_URL, screenshot: "only-on-failure", trace: "retain-on-failure", locale: "en-US", timezoneId: "UTC" },
  projects: [
    { name: "hydrated", testIgnore: /screenshots/ },
    { name: "plain html", use: { javaScriptEnabled: false }, testIgnore: [/\.hydrate\./, /screenshots/] },
    ...(process.env.SCREENSHOTS ? [{ name: "screenshots", testMatch: /screenshots/ }] : []),
  ],
});
