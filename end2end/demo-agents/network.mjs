// Networks of their own: Linux makes them for root.
import { ask } from "./programs.mjs";

/**
 * How a program is started within it, which links of it are up, where it is one of its own, and how it is removed.
 * @typedef {{ within: (words: string[]) => string[], links: () => string[] | undefined, remove: () => void }} Network
 */

/** Why there are none here; nothing when there are. */
export function noNetworks() {
  if (process.getuid?.() !== 0) return "network namespaces take root";
  const trial = `muster-demo-${process.pid}-trial`;
  try {
    ask(["ip", "netns", "add", trial]);
    ask(["ip", "netns", "delete", trial]);
    return undefined;
  } catch (error) {
    const said = error instanceof Error ? error.message.trim().split("\n").at(-1) : error;
    return `ip makes no network namespaces: ${said}`;
  }
}

/**
 * A network that has its loopback and nothing else.
 * @param {string} name
 * @returns {Network}
 */
export function ownNetwork(name) {
  const namespace = `muster-demo-${process.pid}-${name}`;
  ask(["ip", "netns", "add", namespace]);
  const remove = () => void ask(["ip", "netns", "delete", namespace]);
  try {
    ask(["ip", "-n", namespace, "link", "set", "lo", "up"]);
  } catch (error) {
    remove();
    throw error;
  }
  const links = () => [...ask(["ip", "-n", namespace, "-oneline", "link", "show", "up"]).matchAll(/^\d+: ([^:@]+)/gm)].map(([, link = ""]) => link);
  return { within: (words) => ["ip", "netns", "exec", namespace, ...words], links, remove };
}

/**
 * That of this machine.
 * @returns {Network}
 */
export function plainNetwork() {
  return { within: (words) => words, links: () => undefined, remove: () => {} };
}
