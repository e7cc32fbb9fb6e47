import { readFileSync } from "node:fs";
import { defineConfig } from "vite";

/** They give the page a finer clock. */
const headers = { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" };

function version(name: string): string {
  return JSON.stringify(JSON.parse(readFileSync(`node_modules/${name}/package.json`, "utf8")).version);
}

export default defineConfig({
  base: "./",
  appType: "mpa",
  define: {
    __LITERT_VERSION__: version("@litertjs/core"),
    __ONNXRUNTIME_VERSION__: version("onnxruntime-web"),
  },
  build: { target: "es2022", assetsInlineLimit: 0 },
  optimizeDeps: { exclude: ["onnxruntime-web"] },
  server: { headers },
  preview: { headers },
});
