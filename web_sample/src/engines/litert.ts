import { type CompiledModel, loadAndCompile, loadLiteRt, Tensor, type TypedArray } from "@litertjs/core";
import type { Artifact } from "../contract";
import { type InputValues, scoresFrom } from "../input";
import { SampleError } from "../sample_error";
import type { Engine, OpenArtifact } from "./engine";

const TAKES = ["float32", "uint8"];

/** LiteRT.js on the processor, with XNNPACK inside its WebAssembly. */
export async function loadEngine(): Promise<Engine> {
  Object.assign(globalThis, { Module: { printErr: log } });
  await loadLiteRt("engines/");
  return { name: "LiteRT.js", version: __LITERT_VERSION__, delegate: "XNNPACK", open };
}

/** LiteRT writes whatever it does to the standard error: only what went wrong is an error of the page. */
function log(line: string): void {
  if (line.startsWith("ERROR")) console.error(line);
  else console.debug(line);
}

async function open(file: Uint8Array, artifact: Artifact): Promise<OpenArtifact> {
  for (const { dtype } of [artifact.input, artifact.output]) {
    if (!TAKES.includes(dtype)) {
      throw new SampleError(`LiteRT.js has no ${dtype} tensors: convert with --io float32 or --io uint8.`);
    }
  }
  return new OpenTFLite(await loadAndCompile(file, { accelerator: "wasm" }), artifact);
}

class OpenTFLite implements OpenArtifact {
  private input: Tensor | null = null;
  private outputs: Tensor[] = [];

  constructor(
    private readonly model: CompiledModel,
    private readonly artifact: Artifact,
  ) {}

  prepare(values: InputValues): void {
    this.input?.delete();
    this.input = new Tensor(values as TypedArray, this.artifact.input.shape);
  }

  async invoke(): Promise<void> {
    for (const output of this.outputs) output.delete();
    this.outputs = await this.model.run(this.input as Tensor);
  }

  scores(): Float32Array {
    return scoresFrom(this.artifact.output, this.outputs[0].toTypedArray());
  }

  close(): void {
    for (const tensor of this.outputs) tensor.delete();
    this.input?.delete();
    this.model.delete();
  }
}
