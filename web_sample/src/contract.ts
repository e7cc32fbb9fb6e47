import { type ImageSpec, readImageSpec } from "./image_spec";
import { Reader } from "./reader";
import { SampleError } from "./sample_error";

const SCHEMA_VERSION = 1;
const OUTPUT_KINDS = ["softmax", "sigmoid", "logits"] as const;
const TARGETS = ["tflite", "onnx", "coreml"] as const;

export type OutputKind = (typeof OUTPUT_KINDS)[number];

/** real = (stored - zero_point) * scale */
export interface Quantization {
  scale: number;
  zero_point: number;
}

/** Input or output of an artifact. */
export interface Border {
  name: string;
  dtype: string;
  shape: number[];
  quantization: Quantization | null;
}

/** One file: what it was made for, and what goes in and out. */
export interface Artifact {
  name: string;
  file: string;
  target: (typeof TARGETS)[number];
  scheme: string;
  size_bytes: number;
  compressed_bytes: number;
  sha256: string;
  input: Border;
  output: Border;
}

/** What `edgecls embed` says about the model: edgecls.json, field names as there. */
export interface Contract {
  model: string;
  edgecls_version: string;
  source_sha256: string | null;
  labels: string[];
  output_kind: OutputKind;
  image_spec: ImageSpec;
  /** The spec as it stands in the file, for results.json. */
  recorded_spec: unknown;
  artifacts: Artifact[];
  golden: string | null;
}

/** Reads edgecls.json; what cannot be read is a SampleError. */
export function readContract(text: string): Contract {
  const json = parse(text);
  const reader = new Reader(json, "edgecls.json");
  requireVersion(reader, "edgecls.json");
  return {
    model: reader.text("model"),
    edgecls_version: reader.text("edgecls_version"),
    source_sha256: reader.has("source_sha256") ? reader.text("source_sha256") : null,
    labels: reader.texts("labels"),
    output_kind: reader.choice("output_kind", OUTPUT_KINDS),
    image_spec: readImageSpec(reader.object("image_spec")),
    recorded_spec: (json as { image_spec: unknown }).image_spec,
    artifacts: reader.objects("artifacts").map(readArtifact),
    golden: reader.has("golden") ? reader.text("golden") : null,
  };
}

/** Refuses a file of another version: its fields may mean something else. */
function requireVersion(reader: Reader, file: string): void {
  const version = reader.number("schema_version");
  if (version !== SCHEMA_VERSION) {
    throw new SampleError(
      `${file} has schema version ${version}, and this page reads version ${SCHEMA_VERSION}: take the edgecls and the web sample of one release.`,
    );
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new SampleError("edgecls.json is damaged: run edgecls embed again.");
  }
}

function readArtifact(reader: Reader): Artifact {
  return {
    name: reader.text("name"),
    file: reader.text("file"),
    target: reader.choice("target", TARGETS),
    scheme: reader.text("scheme"),
    size_bytes: reader.size("size_bytes"),
    compressed_bytes: reader.size("compressed_bytes"),
    sha256: reader.text("sha256"),
    input: readBorder(reader.object("input")),
    output: readBorder(reader.object("output")),
  };
}

function readBorder(reader: Reader): Border {
  return {
    name: reader.text("name"),
    dtype: reader.text("dtype"),
    shape: reader.sizes("shape"),
    quantization: reader.has("quantization") ? readQuantization(reader.object("quantization")) : null,
  };
}

function readQuantization(reader: Reader): Quantization {
  return { scale: reader.number("scale"), zero_point: reader.number("zero_point") };
}
