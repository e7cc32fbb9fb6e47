/** Serves a built page on the loopback interface, with some of its files replaced where a test says so. */
import { existsSync, readFileSync, statSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join } from "node:path";

const TYPES: Record<string, string> = {
  ".css": "text/css",
  ".html": "text/html",
  ".jpg": "image/jpeg",
  ".js": "text/javascript",
  ".json": "application/json",
  ".png": "image/png",
  ".wasm": "application/wasm",
};
/** As vite.config.ts has them. */
const HEADERS = { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" };

export class Site {
  /** Path -> what is served in the place of the file; null for nothing. */
  replaced: Record<string, Buffer | null> = {};

  private constructor(
    readonly folder: string,
    private readonly server: Server,
  ) {}

  static async serve(folder: string): Promise<Site> {
    const server = createServer();
    const site = new Site(folder, server);
    server.on("request", (request, response) => {
      const path = new URL(request.url ?? "", "http://page").pathname.replace(/\/$/, "/index.html").slice(1);
      const content = site.content(path);
      if (content === null) return response.writeHead(404).end();
      response.writeHead(200, { ...HEADERS, "Content-Type": TYPES[extname(path)] ?? "application/octet-stream" }).end(content);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return site;
  }

  get address(): string {
    return `http://localhost:${(this.server.address() as AddressInfo).port}/`;
  }

  json(path: string) {
    return JSON.parse(readFileSync(join(this.folder, path), "utf8"));
  }

  close(): void {
    this.server.close();
  }

  private content(path: string): Buffer | null {
    if (path in this.replaced) return this.replaced[path];
    const file = join(this.folder, path);
    return existsSync(file) && statSync(file).isFile() ? readFileSync(file) : null;
  }
}
