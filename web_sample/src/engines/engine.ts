import type { Artifact } from "../contract";
import type { InputValues } from "../input";

/** An artifact that is open in an engine. */
export interface OpenArtifact {
  /** Put values into the input tensor. */
  prepare(values: InputValues): void;
  /** Compute; nothing around it, so that it can be timed. */
  invoke(): Promise<void>;
  /** The scores of the last computation. */
  scores(): Float32Array;
  close(): void;
}

export interface Engine {
  name: string;
  version: string;
  /** What accelerates it. */
  delegate: string;
  open(file: Uint8Array, artifact: Artifact): Promise<OpenArtifact>;
}
