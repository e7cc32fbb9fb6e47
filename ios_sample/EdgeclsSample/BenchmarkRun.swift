import EdgeclsKit
import Foundation

/// All embedded artifacts on some compute units, measured, and the golden set checked.
struct BenchmarkRun {
    let folder: ModelFolder
    let units: [ComputeUnits]

    /// - Throws: `KitError`, `CancellationError`.
    func results(progress: (Double) -> Void, isCancelled: () -> Bool) throws -> Results {
        let candidates = units.flatMap { units in folder.artifacts.map { candidate($0, units) } }
        let measurements = try Benchmark { Device.state }.measure(candidates, progress: progress, isCancelled: isCancelled)
        return Results(
            contract: folder.contract,
            environment: Device.environment,
            notes: try goldenNotes(),
            measurements: measurements,
            created: Date()
        )
    }

    /// Write results where `ShareLink`, the Files app and `devicectl` find them.
    static func write(_ results: Results) throws -> URL {
        let file = URL.documentsDirectory.appending(path: "results.json")
        try results.json().write(to: file, options: .atomic)
        return file
    }

    private func candidate(_ artifact: Contract.Artifact, _ units: ComputeUnits) -> Candidate {
        let name = units == .all ? artifact.name : "\(artifact.name) (\(units.rawValue))"
        let pixels = noise(folder.contract.imageSpec)
        return Candidate(name: name, artifact: artifact) {
            let classifier = try CoreMLClassifier(artifact, compiled: folder.compiled(artifact), units: units)
            return try TimedClassifier(classifier, pixels, units: units, system: Device.system)
        }
    }

    private func goldenNotes() throws -> [String] {
        guard let golden = try folder.golden() else { return [] }
        return try folder.artifacts.map { artifact in
            do {
                let classifier = try CoreMLClassifier(artifact, compiled: folder.compiled(artifact), units: .all)
                return try GoldenCheck(golden, folder: folder, classifier: classifier).sentence
            } catch let error as KitError {
                return "golden set, \(artifact.name): \(error.sentence)"
            }
        }
    }

    /// The same on every device: some engines compute zeros faster.
    private func noise(_ spec: ImageSpec) -> Pixels {
        let count = spec.height * spec.width * spec.channels
        let values = (0..<count).map { UInt8(truncatingIfNeeded: UInt64($0) &* 2_654_435_761 >> 13) }
        return Pixels(height: spec.height, width: spec.width, channels: spec.channels, values: values)
    }
}
