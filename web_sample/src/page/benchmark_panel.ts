import { clockStep, DEFAULTS, takeTurns } from "../benchmark";
import type { Classifier, Opened } from "../classifier";
import type { Artifact } from "../contract";
import { environment } from "../environment";
import { inputFor } from "../input";
import { blankPicture } from "../picture";
import { type Measured, results } from "../results";
import { SampleError } from "../sample_error";
import { element, fillTable, make } from "./elements";
import { attempt } from "./trouble";

const HEADINGS = ["artifact", "p50", "p90", "runs", "verdict"];
const now = () => performance.now();
const rest = () => new Promise<void>((resolve) => setTimeout(resolve));

/** Measures all artifacts in turns; `onStart` silences what would disturb them. */
export function watchBenchmark(classifier: Classifier, artifacts: Artifact[], onStart: () => void): void {
  const button = element("measure", HTMLButtonElement);
  const progress = element("progress", HTMLProgressElement);
  button.addEventListener("click", () =>
    attempt(async () => {
      onStart();
      button.disabled = true;
      [progress.value, progress.hidden] = [0, false];
      try {
        const measured = await classifier.alone(() => measure(classifier, artifacts));
        show(measured);
        await offerDownload(classifier, measured);
      } finally {
        [button.disabled, progress.hidden] = [false, true];
      }
    }),
  );
}

async function measure(classifier: Classifier, artifacts: Artifact[]): Promise<Measured[]> {
  const measured: Measured[] = [];
  const timed: [Measured, Opened][] = [];
  for (const artifact of artifacts) {
    const row: Measured = { artifact };
    measured.push(row);
    try {
      timed.push([row, await begin(classifier, row)]);
    } catch (error) {
      if (!(error instanceof SampleError)) throw error;
      row.reason = error.message;
    }
  }
  const hidden = watchHidden();
  const progress = element("progress", HTMLProgressElement);
  const sessions = timed.map(([, { session }]) => session);
  const latencies = await takeTurns(sessions, DEFAULTS, { now, rest, wasHidden: hidden }, (share) => {
    progress.value = share;
  });
  for (const [index, [row]] of timed.entries()) row.latency = latencies[index];
  return measured;
}

/** Open an artifact and give it a noisy picture: what takes the zeros of a blank one faster tells nothing. */
async function begin(classifier: Classifier, row: Measured): Promise<Opened> {
  const opened = await classifier.open(row.artifact);
  const { height, width, channels } = classifier.contract.image_spec;
  const picture = blankPicture(height, width, channels);
  for (let place = 0; place < picture.data.length; place++) picture.data[place] = Math.random() * 256;
  opened.session.prepare(inputFor(row.artifact, classifier.contract, picture));
  const start = now();
  await opened.session.invoke();
  Object.assign(row, { engine: opened.engine, load_ms: opened.load_ms, first_inference_ms: now() - start });
  return opened;
}

/** Whether the page has been in the background since. */
function watchHidden(): () => boolean {
  let hidden = document.hidden;
  document.addEventListener("visibilitychange", () => {
    hidden = true;
  });
  return () => hidden;
}

function show(measured: Measured[]): void {
  const cells = measured.map(({ artifact, latency, reason }) => {
    if (latency === undefined) return [artifact.name, "–", "–", "–", reason ?? ""];
    const { p50_ms, p90_ms, runs, validity } = latency;
    const verdict = [validity.verdict, ...validity.reasons.map(({ text }) => text)].join("; ");
    return [artifact.name, `${p50_ms.toFixed(3)} ms`, `${p90_ms.toFixed(3)} ms`, String(runs), verdict];
  });
  fillTable(element("latencies", HTMLTableElement), HEADINGS, cells);
}

async function offerDownload(classifier: Classifier, measured: Measured[]): Promise<void> {
  const notes = [`Measured in a browser, whose clock has steps of ${clockStep(now).toPrecision(2)} ms.`];
  const report = results(classifier.contract, await environment(), measured, notes);
  const file = new Blob([JSON.stringify(report, null, 2)], { type: "application/json" });
  const button = element("download", HTMLButtonElement);
  button.onclick = () => save(file, "results.json");
  button.hidden = false;
}

function save(file: Blob, name: string): void {
  const href = URL.createObjectURL(file);
  make("a", { href, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(href), 10_000); // browsers read it after the click
}
