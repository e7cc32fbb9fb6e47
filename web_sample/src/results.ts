import type { Artifact, Contract } from "./contract";
import type { Engine } from "./engines/engine";
import type { Environment } from "./environment";
import type { Latency } from "./statistics";

const SCHEMA_VERSION = 2;

/** What was measured of one artifact, or the reason why not. */
export interface Measured {
  artifact: Artifact;
  reason?: string;
  engine?: Engine;
  latency?: Latency;
  load_ms?: number;
  first_inference_ms?: number;
}

/** results.json, as docs/results.schema.json of edgecls describes it. */
export function results(contract: Contract, environment: Environment, measured: Measured[], notes: string[]) {
  return {
    schema_version: SCHEMA_VERSION,
    created: new Date().toISOString(),
    edgecls_version: contract.edgecls_version,
    source_sha256: contract.source_sha256,
    image_spec: contract.recorded_spec,
    labels: contract.labels,
    environment,
    notes,
    measurements: measured.map(measurement),
  };
}

function measurement({ artifact, reason, engine, ...figures }: Measured) {
  return {
    artifact: artifact.name,
    path: artifact.file,
    target: artifact.target,
    scheme: artifact.scheme,
    status: reason === undefined ? "ok" : "failed",
    reason: reason ?? "",
    size_bytes: artifact.size_bytes,
    compressed_bytes: artifact.compressed_bytes,
    threads: 1,
    engine: engine && { name: engine.name, version: engine.version, delegate: engine.delegate },
    ...figures,
  };
}
