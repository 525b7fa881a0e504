// A wire that a test can cut: what goes through it ends at once, and nobody gets through until it is mended.
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";

export interface Cuttable {
  url: string;
  cut(): void;
  mend(): void;
  close(): Promise<void>;
}

export async function cuttable(target: string): Promise<Cuttable> {
  const { hostname, port } = new URL(target);
  const open = new Set<Socket>();
  let whole = true;
  const server = createServer((near) => {
    if (!whole) return void near.destroy();
    const far = connect(Number(port), hostname);
    for (const [one, other] of [[near, far], [far, near]] as const) {
      open.add(one);
      one.pipe(other);
      one.on("error", () => other.destroy());
      one.on("close", () => {
        open.delete(one);
        other.destroy();
      });
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  const cut = () => {
    whole = false;
    for (const socket of open) socket.destroy();
  };
  return {
    url: `http://127.0.0.1:${address.port}`,
    cut,
    mend: () => void (whole = true),
    close: async () => {
      cut();
      server.close();
      await once(server, "close");
    },
  };
}
