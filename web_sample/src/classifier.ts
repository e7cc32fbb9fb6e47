import type { Artifact, Contract } from "./contract";
import { fetchArtifact } from "./embedded";
import type { Engine, OpenArtifact } from "./engines/engine";
import { engineFor } from "./engines/engines";
import { inputFor } from "./input";
import { type Picture, withChannels } from "./picture";
import { fitPicture } from "./resize";
import { SampleError } from "./sample_error";

/** An artifact, open, and what opening it took. */
export interface Opened {
  engine: Engine;
  session: OpenArtifact;
  load_ms: number;
}

export interface Answer {
  /** What the model saw. */
  pixels: Picture;
  scores: Float32Array;
  prepare_ms: number;
  compute_ms: number;
}

/** Owns the artifacts that are open. One computation at a time: whoever comes while one runs has to wait. */
export class Classifier {
  private readonly opened = new Map<string, Promise<Opened>>();
  private last: Promise<unknown> = Promise.resolve();

  constructor(readonly contract: Contract) {}

  /** Pixels of the model's size out of a picture of any. */
  fit(picture: Picture): Picture {
    const spec = this.contract.image_spec;
    return fitPicture(withChannels(picture, spec.channels), spec);
  }

  /** Scores of a picture. */
  classify(artifact: Artifact, picture: Picture): Promise<Answer> {
    return this.alone(async () => {
      const { session } = await this.open(artifact);
      const start = performance.now();
      const pixels = this.fit(picture);
      session.prepare(inputFor(artifact, this.contract, pixels));
      const prepared = performance.now();
      await session.invoke();
      const done = performance.now();
      return { pixels, scores: session.scores(), prepare_ms: prepared - start, compute_ms: done - prepared };
    });
  }

  /** Do something with open artifacts while nobody else computes. */
  alone<T>(work: () => Promise<T>): Promise<T> {
    const result = this.last.then(work);
    this.last = result.catch(() => undefined); // whoever waits next does not fail for this
    return result;
  }

  /** The artifact, opened when it is first used. */
  open(artifact: Artifact): Promise<Opened> {
    const found = this.opened.get(artifact.name);
    if (found !== undefined) return found;
    const opening = this.openAnew(artifact);
    this.opened.set(artifact.name, opening);
    opening.catch(() => this.opened.delete(artifact.name)); // what failed may be tried again
    return opening;
  }

  private async openAnew(artifact: Artifact): Promise<Opened> {
    const file = await fetchArtifact(artifact);
    const engine = await engineFor(artifact);
    const start = performance.now();
    const session = await engine.open(file, artifact).catch((error: unknown) => {
      if (error instanceof SampleError) throw error;
      throw new SampleError(`${engine.name} cannot open ${artifact.file}: ${firstLine(error)}`);
    });
    return { engine, session, load_ms: performance.now() - start };
  }
}

function firstLine(error: unknown): string {
  return String(error instanceof Error ? error.message : error).split("\n")[0];
}
