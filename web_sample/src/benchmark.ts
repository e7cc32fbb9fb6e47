import type { OpenArtifact } from "./engines/engine";
import { type Latency, summarize } from "./statistics";

export interface BenchmarkOptions {
  rounds: number;
  /** Of each artifact, over all rounds. */
  seconds: number;
  runs: number;
  warmupSeconds: number;
}

export const DEFAULTS: BenchmarkOptions = { rounds: 10, seconds: 1.5, runs: 50, warmupSeconds: 0.3 };

/** Computations before each turn that are not timed: the caches hold another artifact's data. */
const UNTIMED = 2;

/** What a benchmark needs of the browser. */
export interface Surroundings {
  now: () => number;
  /** Let the page draw between two turns. */
  rest: () => Promise<void>;
  wasHidden: () => boolean;
}

/**
 * Time artifacts whose input is there. They take turns, in rotated order, so that drift of the device hits all alike.
 * Latencies come in the order of the artifacts.
 */
export async function takeTurns(
  artifacts: OpenArtifact[],
  options: BenchmarkOptions,
  { now, rest, wasHidden }: Surroundings,
  onProgress: (share: number) => void,
): Promise<Latency[]> {
  const warmups: number[] = [];
  for (const artifact of artifacts) {
    warmups.push((await sample(artifact, options.warmupSeconds * 1000, 1, now)).length);
    await rest();
  }
  const rounds: number[][][] = artifacts.map(() => []);
  for (let round = 0; round < options.rounds; round++) {
    for (let turn = 0; turn < artifacts.length; turn++) {
      const index = (turn + round) % artifacts.length;
      for (let run = 0; run < UNTIMED; run++) await artifacts[index].invoke();
      const runs = Math.ceil(options.runs / options.rounds);
      rounds[index].push(await sample(artifacts[index], (options.seconds * 1000) / options.rounds, runs, now));
      onProgress((round * artifacts.length + turn + 1) / (options.rounds * artifacts.length));
      await rest();
    }
  }
  return rounds.map((samples, index) => summarize(samples, warmups[index], wasHidden()));
}

/** Milliseconds of each computation, at least so long and so often. */
async function sample(artifact: OpenArtifact, milliseconds: number, runs: number, now: () => number): Promise<number[]> {
  const samples: number[] = [];
  const end = now() + milliseconds;
  for (;;) {
    const start = now();
    await artifact.invoke();
    const stop = now();
    samples.push(stop - start);
    if (stop >= end && samples.length >= runs) return samples;
  }
}

/** The least step of a clock, in milliseconds: browsers round theirs. */
export function clockStep(now: () => number): number {
  let least = Number.POSITIVE_INFINITY;
  for (let attempt = 0; attempt < 20; attempt++) {
    const start = now();
    let stop = start;
    while (stop === start) stop = now();
    least = Math.min(least, stop - start);
  }
  return least;
}
