import { Classifier } from "./classifier";
import type { Artifact, Contract } from "./contract";
import { fetchContract } from "./embedded";
import { isRunnable } from "./engines/engines";
import { showAnswer } from "./page/answer_panel";
import { watchBenchmark } from "./page/benchmark_panel";
import { element, make } from "./page/elements";
import { watchGolden } from "./page/golden_panel";
import { PicturePanel } from "./page/picture_panel";
import { attempt } from "./page/trouble";
import type { Picture } from "./picture";
import { SampleError } from "./sample_error";

async function start(): Promise<void> {
  const model = element("model", HTMLParagraphElement);
  model.textContent = "";
  const contract = await fetchContract();
  const artifacts = contract.artifacts.filter(isRunnable);
  if (artifacts.length === 0) throw new SampleError("None of the artifacts is for browsers: embed a .tflite or an .onnx file.");
  model.textContent = introduction(contract);
  watch(contract, artifacts);
  element("panels", HTMLElement).hidden = false;
}

function introduction({ model, labels, image_spec }: Contract): string {
  return `${model}: ${labels.length} classes, ${image_spec.width} × ${image_spec.height} pixels`;
}

/** Tie the panels together: the last picture is classified again when another artifact is chosen. */
function watch(contract: Contract, artifacts: Artifact[]): void {
  const classifier = new Classifier(contract);
  const choice = element("artifact", HTMLSelectElement);
  choice.append(...artifacts.map(({ name, file }) => make("option", { value: name }, file)));
  const chosen = () => artifacts[choice.selectedIndex];
  let last: Picture | null = null;
  const classify = async (picture: Picture) => {
    last = picture;
    showAnswer(await classifier.classify(chosen(), picture), contract);
  };
  const pictures = new PicturePanel(classify);
  choice.addEventListener("change", () => attempt(async () => (last === null ? undefined : classify(last))));
  watchGolden(classifier, chosen);
  watchBenchmark(classifier, artifacts, () => pictures.stopCamera());
}

void attempt(start);
