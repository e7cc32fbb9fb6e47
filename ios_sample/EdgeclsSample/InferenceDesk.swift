import EdgeclsKit
import Foundation

/// What an artifact says about a picture.
struct Answer {
    let predictions: [Prediction]
    /// Of the inference alone.
    let milliseconds: Double
    /// The same where Vision fits and scales the picture, or why not; nil where nobody asked.
    let byVision: Result<[Prediction], Error>?
}

/// The one place, with one thread, where pictures are classified.
final class InferenceDesk {
    private let folder: ModelFolder
    private let queue = DispatchQueue(label: "inference", qos: .userInitiated)
    private var open: (key: String, classifier: CoreMLClassifier)?

    init(folder: ModelFolder) {
        self.folder = folder
    }

    /// - Throws: `KitError`.
    func classify(_ picture: Pixels, with artifact: Contract.Artifact, on units: ComputeUnits, askVision: Bool) async throws -> Answer {
        try await withCheckedThrowingContinuation { continuation in
            queue.async {
                continuation.resume(with: Result { try self.answer(picture, artifact, units, askVision) })
            }
        }
    }

    private func answer(_ picture: Pixels, _ artifact: Contract.Artifact, _ units: ComputeUnits, _ askVision: Bool) throws -> Answer {
        let contract = folder.contract
        let classifier = try classifier(artifact, units)
        let input = try classifier.input(contract.imageSpec.pixels(of: picture))
        let start = DispatchTime.now().uptimeNanoseconds
        let scores = try classifier.scores(input)
        let milliseconds = Double(DispatchTime.now().uptimeNanoseconds - start) / 1e6
        return Answer(
            predictions: try contract.topClasses(of: scores, count: 3),
            milliseconds: milliseconds,
            byVision: askVision ? Result { try topByVision(picture, classifier) } : nil
        )
    }

    private func topByVision(_ picture: Pixels, _ classifier: CoreMLClassifier) throws -> [Prediction] {
        let contract = folder.contract
        return try contract.topClasses(of: classifier.scoresByVision(picture, fit: contract.imageSpec.fit), count: 3)
    }

    private func classifier(_ artifact: Contract.Artifact, _ units: ComputeUnits) throws -> CoreMLClassifier {
        let key = "\(artifact.name) \(units.rawValue)"
        if let open, open.key == key { return open.classifier }
        let classifier = try CoreMLClassifier(artifact, compiled: folder.compiled(artifact), units: units)
        open = (key, classifier)
        return classifier
    }
}
