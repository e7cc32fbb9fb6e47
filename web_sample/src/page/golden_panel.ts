import type { Classifier } from "../classifier";
import type { Artifact } from "../contract";
import { compareWithHost, type GoldenRow } from "../golden";
import { SampleError } from "../sample_error";
import { element, fillTable } from "./elements";
import { attempt } from "./trouble";

const HEADINGS = ["picture", "pixels apart, most", "on average", "scores apart", "same winner", "as on the host"];

/** Compares the chosen artifact's answers to the golden pictures with the host's. */
export function watchGolden(classifier: Classifier, chosen: () => Artifact): void {
  const button = element("compare", HTMLButtonElement);
  button.addEventListener("click", () =>
    attempt(async () => {
      const { golden } = classifier.contract;
      if (golden === null) throw new SampleError("edgecls embed was told to leave the golden pictures out.");
      button.disabled = true;
      try {
        const artifact = chosen();
        show(await compareWithHost(classifier, golden, artifact), artifact);
      } finally {
        button.disabled = false;
      }
    }),
  );
}

function show(rows: GoldenRow[], artifact: Artifact): void {
  const good = rows.filter((row) => row.asOnHost).length;
  element("verdict", HTMLParagraphElement).textContent = `${artifact.name}: ${good} of ${rows.length} pictures as on the host`;
  const yes = (value: boolean) => (value ? "yes" : "no");
  const cells = rows.map((row) => [
    row.name,
    String(row.mostLevels),
    row.meanLevels.toFixed(3),
    row.scoresApart.toExponential(1),
    yes(row.sameWinner),
    yes(row.asOnHost),
  ]);
  fillTable(element("golden", HTMLTableElement), HEADINGS, cells);
}
