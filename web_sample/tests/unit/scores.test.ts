import { expect, test } from "vitest";
import { topClasses } from "../../src/scores";

const LABELS = ["a", "b", "c"];

function top(scores: number[], kind: "softmax" | "sigmoid" | "logits", labels = LABELS) {
  return topClasses(Float32Array.from(scores), kind, labels, 2).map(({ label, probability }) => [label, probability]);
}

test("the best come first, of equal ones the earlier", () => {
  expect(top([0.25, 0.5, 0.25], "softmax")).toEqual([
    ["b", 0.5],
    ["a", 0.25],
  ]);
});

test("logits become probabilities", () => {
  const [[label, probability]] = top([1000, 1000, 1000 - 20], "logits");
  expect(label).toBe("a");
  expect(probability).toBeCloseTo(0.5, 6);
});

test("one output means two classes", () => {
  expect(top([0.75], "sigmoid", ["no", "yes"])).toEqual([
    ["yes", 0.75],
    ["no", 0.25],
  ]);
  expect(top([0], "logits", ["no", "yes"])).toEqual([
    ["no", 0.5],
    ["yes", 0.5],
  ]);
});

test("labels of another model are refused", () => {
  expect(() => top([0.5, 0.5], "softmax")).toThrow("The artifact gives 2 classes, and edgecls.json names 3.");
});
