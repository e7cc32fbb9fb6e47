import CoreML
import CoreVideo
import EdgeclsKit
import Foundation
import Vision

extension CoreMLClassifier {
    /// What the model answers where Vision fits and scales the whole picture: what the switch on the screen shows.
    ///
    /// - Parameters:
    ///   - picture: upright, of any size.
    ///   - fit: the nearest of Vision's own ways is taken.
    func scoresByVision(_ picture: Pixels, fit: Fit) throws -> [Float] {
        guard artifact.input.kind == .image else { throw KitError("\(artifact.name) takes an array: Vision feeds pictures alone.") }
        let container = try VNCoreMLModel(for: model)
        let request = VNCoreMLRequest(model: container)
        switch fit {
        case .squeeze: request.imageCropAndScaleOption = .scaleFill
        case .crop: request.imageCropAndScaleOption = .centerCrop
        case .pad: request.imageCropAndScaleOption = .scaleFit
        }
        try VNImageRequestHandler(cvPixelBuffer: pixelBuffer(picture), options: [:]).perform([request])
        let found = request.results as? [VNClassificationObservation] ?? []
        let confidences = Dictionary(found.map { ($0.identifier, $0.confidence) }, uniquingKeysWith: max)
        let labels = model.modelDescription.classLabels as? [String] ?? []
        let scores = labels.compactMap { confidences[$0] }
        guard !scores.isEmpty, scores.count == labels.count else { throw KitError("Vision takes \(artifact.name) for something else.") }
        return scores
    }
}
