/** Copies LiteRT's WebAssembly to where the page looks for it: with relaxed SIMD, and without for older browsers. */
import { cpSync, mkdirSync } from "node:fs";

mkdirSync("public/engines", { recursive: true });
for (const name of ["litert_wasm_internal", "litert_wasm_compat_internal"]) {
  for (const ending of ["js", "wasm"]) {
    cpSync(`node_modules/@litertjs/core/wasm/${name}.${ending}`, `public/engines/${name}.${ending}`);
  }
}
