import type { OutputKind } from "./contract";
import { SampleError } from "./sample_error";

export interface Prediction {
  index: number;
  label: string;
  /** 0..1: of logits, what softmax or sigmoid makes of them. */
  probability: number;
}

/** The best classes, best first; of equal ones the lower index first. One output means two classes: the second where it is high. */
export function topClasses(scores: Float32Array, kind: OutputKind, labels: string[], count: number): Prediction[] {
  const shares = probabilities([...scores], kind);
  if (shares.length !== labels.length) {
    throw new SampleError(`The artifact gives ${shares.length} classes, and edgecls.json names ${labels.length}.`);
  }
  return shares
    .map((probability, index) => ({ index, label: labels[index], probability }))
    .sort((one, other) => other.probability - one.probability || one.index - other.index)
    .slice(0, count);
}

function probabilities(scores: number[], kind: OutputKind): number[] {
  if (scores.length === 1) {
    const high = kind === "logits" ? 1 / (1 + Math.exp(-scores[0])) : scores[0];
    return [1 - high, high];
  }
  if (kind !== "logits") return scores;
  const highest = Math.max(...scores);
  const powers = scores.map((score) => Math.exp(score - highest));
  const sum = powers.reduce((total, power) => total + power);
  return powers.map((power) => power / sum);
}
