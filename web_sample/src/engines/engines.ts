import type { Artifact } from "../contract";
import { SampleError } from "../sample_error";
import type { Engine } from "./engine";

/** Each engine's WebAssembly is fetched when its first artifact is opened. */
const LOADERS: Partial<Record<Artifact["target"], () => Promise<Engine>>> = {
  tflite: async () => (await import("./litert")).loadEngine(),
  onnx: async () => (await import("./onnx")).loadEngine(),
};

const loaded = new Map<Artifact["target"], Promise<Engine>>();

/** Whether a browser can run it. */
export function isRunnable(artifact: Artifact): boolean {
  return artifact.target in LOADERS;
}

export function engineFor(artifact: Artifact): Promise<Engine> {
  const loader = LOADERS[artifact.target];
  if (loader === undefined) throw new SampleError(`${artifact.file} is not for browsers.`);
  const found = loaded.get(artifact.target);
  if (found !== undefined) return found;
  const loading = loader();
  loaded.set(artifact.target, loading);
  loading.catch(() => loaded.delete(artifact.target)); // what failed may be tried again
  return loading;
}
