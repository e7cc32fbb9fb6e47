import type { Classifier } from "./classifier";
import type { Artifact } from "./contract";
import { decodeFile } from "./decode";
import { fetchEmbedded } from "./embedded";
import { inputFor } from "./input";
import { type Picture, withChannels } from "./picture";
import { Reader } from "./reader";
import { SampleError } from "./sample_error";

const SCHEMA_VERSION = 1;
const DECODINGS = ["lossless", "jpeg"] as const;
/** What decoders of JPEG may make of the same file. */
const JPEG_LEVELS = 2;
const JPEG_MEAN = 0.1;
/**
 * How far scores may be apart. float32 sums in another order; float16 is rounded where each engine likes, within what `convert` allows; an int8 softmax has codes of 1/256; with
 * `dynamic` a hair's difference in one value moves the codes of all that lie with it in a tensor.
 */
const APART: Record<string, number> = { float32: 1e-3, float16: 5e-3, int8: 1 / 256, dynamic: 2e-2 };

/** A picture whose pixels and scores the host has computed. */
interface GoldenImage {
  name: string;
  file: string;
  pixels: string;
  decoding: (typeof DECODINGS)[number];
  scores: Reader;
}

/** How one picture fares here. */
export interface GoldenRow {
  name: string;
  /** Of the pixels that enter the model, in levels of 0..255. */
  mostLevels: number;
  meanLevels: number;
  /** Of the scores, from the host's pixels. */
  scoresApart: number;
  sameWinner: boolean;
  asOnHost: boolean;
}

/** Every golden picture through this page: its pixels and an artifact's scores beside those of the host. */
export async function compareWithHost(classifier: Classifier, golden: string, artifact: Artifact): Promise<GoldenRow[]> {
  const images = readGolden(await (await fetchEmbedded(golden)).text());
  const rows: GoldenRow[] = [];
  for (const image of images) rows.push(await compareImage(classifier, image, artifact));
  return rows;
}

function readGolden(text: string): GoldenImage[] {
  const reader = new Reader(JSON.parse(text), "golden.json");
  if (reader.number("schema_version") !== SCHEMA_VERSION) {
    throw new SampleError(
      `golden.json has schema version ${reader.number("schema_version")}, and this page reads ${SCHEMA_VERSION}.`,
    );
  }
  return reader.objects("images").map((image) => ({
    name: image.text("name"),
    file: image.text("file"),
    pixels: image.text("pixels"),
    decoding: image.choice("decoding", DECODINGS),
    scores: image.object("scores"),
  }));
}

async function compareImage(classifier: Classifier, image: GoldenImage, artifact: Artifact): Promise<GoldenRow> {
  const ours = classifier.fit(await fetchPicture(image.file));
  const theirs = withChannels(await fetchPicture(image.pixels), ours.channels);
  const levels = levelsApart(ours, theirs);
  const scores = await scoresOf(classifier, artifact, theirs);
  const expected = image.scores.numbers(artifact.name);
  const scoresApart = Math.max(...expected.map((score, index) => Math.abs(score - scores[index])));
  const sameWinner = winner(expected) === winner([...scores]);
  const sees = image.decoding === "lossless" ? levels.most === 0 : levels.most <= JPEG_LEVELS && levels.mean < JPEG_MEAN;
  return {
    name: image.name,
    mostLevels: levels.most,
    meanLevels: levels.mean,
    scoresApart,
    sameWinner,
    asOnHost: sees && sameWinner && scoresApart <= allowedApart(artifact),
  };
}

async function fetchPicture(file: string): Promise<Picture> {
  return decodeFile(await (await fetchEmbedded(file)).blob());
}

function scoresOf(classifier: Classifier, artifact: Artifact, pixels: Picture): Promise<Float32Array> {
  return classifier.alone(async () => {
    const { session } = await classifier.open(artifact);
    session.prepare(inputFor(artifact, classifier.contract, pixels));
    await session.invoke();
    return session.scores();
  });
}

function levelsApart(ours: Picture, theirs: Picture): { most: number; mean: number } {
  if (ours.data.length !== theirs.data.length) throw new SampleError("A golden picture has another size than the model.");
  const apart = ours.data.map((value, index) => Math.abs(value - theirs.data[index]));
  return {
    most: apart.reduce((most, value) => Math.max(most, value), 0),
    mean: apart.reduce((sum, value) => sum + value, 0) / apart.length,
  };
}

function allowedApart(artifact: Artifact): number {
  return artifact.output.quantization?.scale ?? APART[artifact.scheme];
}

function winner(scores: number[]): number {
  return scores.indexOf(Math.max(...scores));
}
