import { defineConfig } from "vitest/config";

/** One file at a time: the page's tests measure. */
export default defineConfig({ test: { fileParallelism: false, testTimeout: 120_000, hookTimeout: 60_000 } });
