import { expect, test } from "vitest";
import { clockStep, takeTurns } from "../../src/benchmark";
import type { OpenArtifact } from "../../src/engines/engine";
import { percentile, summarize } from "../../src/statistics";

/** Artifacts that take a fixed time each, on a clock that only they move, and the order in which they computed. */
function bench(...milliseconds: number[]) {
  let time = 0;
  const order: number[] = [];
  const artifacts = milliseconds.map((taken, index) => {
    const invoke = async () => {
      time += taken;
      order.push(index);
    };
    return { invoke } as OpenArtifact;
  });
  const surroundings = { now: () => time, rest: async () => {}, wasHidden: () => false };
  return { artifacts, order, surroundings };
}

test("artifacts take turns in rotated order, each long and often enough", async () => {
  const { artifacts, order, surroundings } = bench(1, 100);
  const shares: number[] = [];
  const options = { rounds: 2, seconds: 0.2, runs: 4, warmupSeconds: 0.01 };
  const [fast, slow] = await takeTurns(artifacts, options, surroundings, (share) => shares.push(share));
  expect(order.filter((artifact, place) => artifact !== order[place - 1])).toEqual(
    [0, 1, 0, 1, 0].slice(0, 0).concat([0, 1, 0, 1, 0]),
  );
  expect([fast.runs, fast.p50_ms, fast.warmup_runs]).toEqual([200, 1, 10]);
  expect([slow.runs, slow.p50_ms, slow.warmup_runs]).toEqual([4, 100, 1]);
  expect(shares).toEqual([0.25, 0.5, 0.75, 1]);
});

test("percentiles lie between neighbours, as NumPy's", () => {
  expect([0, 50, 90, 100].map((percent) => percentile([4, 1, 3, 2], percent))).toEqual([1, 2.5, 3.7, 4]);
});

const steady = Array.from({ length: 10 }, () => Array.from({ length: 10 }, () => 10));

test("a steady run is valid", () => {
  expect(summarize(steady, 3, false).validity).toEqual({ verdict: "valid", reasons: [] });
});

test.each([
  ["few runs", steady.slice(0, 4), false, "too few runs: 40 in 0.40 s, needed 50 and 1 s"],
  [
    "rounds apart",
    steady.map((round, index) => round.map((value) => value + index)),
    false,
    "too noisy: medians of the rounds lie 50% apart, allowed 10%",
  ],
  ["a hidden page", steady, true, "machine loaded: the page was in the background"],
])("%s make it invalid", (_, rounds, hidden, text) => {
  expect(summarize(rounds, 3, hidden).validity.reasons.map((reason) => reason.text)).toEqual([text]);
});

test("the step of a coarse clock is found", () => {
  let calls = 0;
  expect(clockStep(() => Math.floor(calls++ / 7) * 0.5)).toBe(0.5);
});
