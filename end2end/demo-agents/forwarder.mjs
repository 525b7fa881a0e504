// A socket that is another one elsewhere. As a program, `forwarder.mjs PORT SOCKET`, it brings a server that listens on this machine into a
// network that has nothing but its loopback: files are the same in both, so that a socket in a folder leads from one to the other.
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { pathToFileURL } from "node:url";

/**
 * Listens, and connects whoever comes.
 * @param {import("node:net").ListenOptions} from
 * @param {import("node:net").NetConnectOpts} to
 */
export async function forward(from, to) {
  /** @type {Set<import("node:net").Socket>} */
  const open = new Set();
  const leadOn = (/** @type {import("node:net").Socket} */ one, /** @type {import("node:net").Socket} */ other) => {
    open.add(one);
    one.pipe(other);
    one.on("error", () => other.destroy());
    one.on("close", () => open.delete(one));
  };
  const listener = createServer({ allowHalfOpen: true }, (come) => {
    const gone = connect({ ...to, allowHalfOpen: true });
    leadOn(come, gone);
    leadOn(gone, come);
  });
  listener.listen(from);
  await once(listener, "listening");
  const stop = async () => {
    const closed = once(listener, "close");
    listener.close();
    for (const socket of open) socket.destroy();
    await closed;
  };
  return { stop };
}

const [, program, port, path] = process.argv;
if (program && import.meta.url === pathToFileURL(program).href) {
  await forward({ host: "127.0.0.1", port: Number(port) }, { path: String(path) });
  console.log(`Forwards 127.0.0.1:${port}`);
}
