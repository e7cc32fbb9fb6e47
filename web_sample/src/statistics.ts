/** Latency of one artifact, in the words of docs/results.schema.json; no sample is ever dropped. */
export interface Latency {
  runs: number;
  p50_ms: number;
  p90_ms: number;
  p99_ms: number;
  min_ms: number;
  max_ms: number;
  samples_ms: number[];
  warmup_runs: number;
  rounds_p50_ms: number[];
  validity: Validity;
}

export interface Validity {
  verdict: "valid" | "invalid";
  reasons: { code: "too_few_runs" | "too_noisy" | "machine_loaded"; text: string }[];
}

/** The host's limits. */
const LEAST_RUNS = 50;
const LEAST_SECONDS = 1;
/** Of the seconds: the loop's clock also counts what lies between two computations. */
const SAMPLED = 0.9;
const MOST_SPREAD = 0.1;

/** Linear between neighbours, as NumPy's. */
export function percentile(values: number[], percent: number): number {
  const sorted = values.toSorted((one, other) => one - other);
  const place = (percent / 100) * (sorted.length - 1);
  const [low, high] = [sorted[Math.floor(place)], sorted[Math.ceil(place)]];
  return low + (high - low) * (place - Math.floor(place));
}

/** All rounds of one artifact together; `wasHidden` tells that the browser may have held the page back meanwhile. */
export function summarize(rounds: number[][], warmupRuns: number, wasHidden: boolean): Latency {
  const samples = rounds.flat();
  const latency = {
    runs: samples.length,
    p50_ms: percentile(samples, 50),
    p90_ms: percentile(samples, 90),
    p99_ms: percentile(samples, 99),
    min_ms: percentile(samples, 0),
    max_ms: percentile(samples, 100),
    samples_ms: samples.map((sample) => Math.round(sample * 1e4) / 1e4),
    warmup_runs: warmupRuns,
    rounds_p50_ms: rounds.map((round) => percentile(round, 50)),
  };
  return { ...latency, validity: judge(latency, wasHidden) };
}

function judge(latency: Omit<Latency, "validity">, wasHidden: boolean): Validity {
  const reasons: Validity["reasons"] = [];
  const seconds = latency.samples_ms.reduce((sum, sample) => sum + sample, 0) / 1000;
  if (latency.runs < LEAST_RUNS || seconds < SAMPLED * LEAST_SECONDS) {
    const text = `too few runs: ${latency.runs} in ${seconds.toPrecision(2)} s, needed ${LEAST_RUNS} and ${LEAST_SECONDS} s`;
    reasons.push({ code: "too_few_runs", text });
  }
  const spread = (percentile(latency.rounds_p50_ms, 90) - percentile(latency.rounds_p50_ms, 10)) / latency.p50_ms;
  if (spread > MOST_SPREAD) {
    const text = `too noisy: medians of the rounds lie ${Math.round(spread * 100)}% apart, allowed ${MOST_SPREAD * 100}%`;
    reasons.push({ code: "too_noisy", text });
  }
  if (wasHidden) reasons.push({ code: "machine_loaded", text: "machine loaded: the page was in the background" });
  return { verdict: reasons.length > 0 ? "invalid" : "valid", reasons };
}
