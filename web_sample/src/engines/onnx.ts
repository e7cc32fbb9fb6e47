import { InferenceSession, Tensor } from "onnxruntime-web/wasm";
import type { Artifact } from "../contract";
import { type InputValues, scoresFrom } from "../input";
import { SampleError } from "../sample_error";
import type { Engine, OpenArtifact } from "./engine";

/** ONNX Runtime on the processor. */
export async function loadEngine(): Promise<Engine> {
  await InferenceSession.create(new Uint8Array(1)).catch(() => undefined); // no model: but now its WebAssembly is here
  return { name: "ONNX Runtime Web", version: __ONNXRUNTIME_VERSION__, delegate: "WebAssembly", open };
}

async function open(file: Uint8Array, artifact: Artifact): Promise<OpenArtifact> {
  if (artifact.input.dtype !== "float32") {
    throw new SampleError(`The ONNX file takes ${artifact.input.dtype}, and this page gives it float32 alone.`);
  }
  return new OpenOnnx(await InferenceSession.create(file, { executionProviders: ["wasm"] }), artifact);
}

class OpenOnnx implements OpenArtifact {
  private input: InferenceSession.FeedsType = {};
  private output: InferenceSession.ReturnType = {};

  constructor(
    private readonly session: InferenceSession,
    private readonly artifact: Artifact,
  ) {}

  prepare(values: InputValues): void {
    this.input = { [this.session.inputNames[0]]: new Tensor("float32", values as Float32Array, this.artifact.input.shape) };
  }

  async invoke(): Promise<void> {
    this.output = await this.session.run(this.input);
  }

  scores(): Float32Array {
    return scoresFrom(this.artifact.output, this.output[this.session.outputNames[0]].data as Float32Array);
  }

  close(): void {
    void this.session.release();
  }
}
