// What runs on this machine, where the system tells it in /proc.
import { existsSync, readdirSync, readFileSync } from "node:fs";

/** The command lines that hold these words. */
export function processesWith(words: string): string[] {
  if (!existsSync("/proc/self/cmdline")) return [];
  const lines = readdirSync("/proc").filter((name) => /^\d+$/.test(name)).map(commandLine);
  return lines.filter((line) => line.includes(words));
}

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim();
  } catch {
    // it has ended meanwhile
    return "";
  }
}
