import Foundation

/// `results.json`, in the schema of edgecls' `docs/results.schema.json`: what an app can know of it.
public struct Results: Codable, Sendable {
    public var schemaVersion = 2
    public var created: String
    public var edgeclsVersion: String
    public var sourceSha256: String?
    public var imageSpec: ImageSpec
    public var labels: [String]
    public var environment: DeviceDescription
    public var notes: [String]
    public var measurements: [MeasuredArtifact]

    public init(contract: Contract, environment: DeviceDescription, notes: [String], measurements: [MeasuredArtifact], created: Date) {
        self.created = ISO8601DateFormatter().string(from: created)
        edgeclsVersion = contract.edgeclsVersion
        sourceSha256 = contract.sourceSha256
        imageSpec = contract.imageSpec
        labels = contract.labels
        self.environment = environment
        self.notes = notes
        self.measurements = measurements
    }

    public func json() throws -> Data {
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return try encoder.encode(self)
    }
}

/// Where it was measured.
public struct DeviceDescription: Codable, Sendable {
    public var platform: String
    public var machine: String
    public var processor: String
    public var cores: Int
    public var memoryBytes: UInt64
    public var device: String

    public init(platform: String, machine: String, processor: String, cores: Int, memoryBytes: UInt64, device: String) {
        (self.platform, self.machine, self.processor) = (platform, machine, processor)
        (self.cores, self.memoryBytes, self.device) = (cores, memoryBytes, device)
    }
}

/// What ran an artifact.
public struct Engine: Codable, Sendable {
    public var name: String
    public var version: String
    public var delegate: String
    public var note: String

    public init(name: String, version: String, delegate: String, note: String = "") {
        (self.name, self.version, self.delegate, self.note) = (name, version, delegate, note)
    }
}

/// One artifact, measured.
public struct MeasuredArtifact: Codable, Sendable {
    public enum Status: String, Codable, Sendable {
        case ok
        case failed
    }

    public var artifact: String
    public var path: String
    public var target: String
    public var scheme: String
    public var status: Status
    public var reason: String
    public var sizeBytes: Int
    public var compressedBytes: Int
    public var latency: Latency?
    public var latencyRatio: LatencyRatio?
    public var loadMs: Double?
    public var firstInferenceMs: Double?
    public var engine: Engine?
}

/// Time of one inference, in milliseconds; making the pixels is not part of it. No sample is ever dropped.
public struct Latency: Codable, Sendable {
    public var runs: Int
    public var p50Ms: Double
    public var p90Ms: Double
    public var p99Ms: Double
    public var minMs: Double
    public var maxMs: Double
    public var samplesMs: [Double]
    public var warmupRuns: Int
    public var roundsP50Ms: [Double]
    public var validity: Validity
    public var conditions: Conditions
}

/// A confidence interval, in the unit of what it belongs to.
public struct Interval: Codable, Equatable, Sendable {
    public var low: Double
    public var high: Double
    public var confidence: Double
}

/// Latency relative to that of another artifact, which took its turns in the same rounds; above 1 is slower.
public struct LatencyRatio: Codable, Sendable {
    public enum Verdict: String, Codable, Sendable {
        case faster
        case slower
        case same = "no difference"
    }

    public var reference: String
    public var ratio: Double
    public var interval: Interval
    public var verdict: Verdict
}

/// Whether a latency may be compared with others.
public struct Validity: Codable, Equatable, Sendable {
    public enum Verdict: String, Codable, Sendable {
        case valid
        case invalid
    }

    public struct Reason: Codable, Equatable, Sendable {
        public enum Code: String, Codable, Sendable {
            case tooFewRuns = "too_few_runs"
            case tooNoisy = "too_noisy"
            case frequencyChanged = "frequency_changed"
            case memorySwapped = "memory_swapped"
            case emulated
        }

        public var code: Code
        public var text: String
    }

    public var verdict: Verdict
    public var reasons: [Reason]
}

/// What the device did meanwhile, as far as it tells an app.
public struct Conditions: Codable, Equatable, Sendable {
    /// Pages this process had to fetch from storage while the artifact was timed.
    public var majorFaults: Int
}
