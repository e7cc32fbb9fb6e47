import CoreML
import CoreVideo
import EdgeclsKit
import Foundation

/// Which processors Core ML may use.
enum ComputeUnits: String, CaseIterable, Identifiable {
    case all = "All"
    case cpu = "CPU"
    case gpu = "CPU and GPU"
    case neuralEngine = "CPU and Neural Engine"

    var id: String { rawValue }

    var value: MLComputeUnits {
        switch self {
        case .all: .all
        case .cpu: .cpuOnly
        case .gpu: .cpuAndGPU
        case .neuralEngine: .cpuAndNeuralEngine
        }
    }
}

/// A Core ML artifact that is open. It gets pixels that EdgeclsKit made, so that none of them is Vision's work.
final class CoreMLClassifier {
    let artifact: Contract.Artifact
    let model: MLModel

    /// - Parameters:
    ///   - compiled: the artifact as Xcode compiled it.
    ///   - units: that may be used; Core ML does not tell which of them it uses.
    /// - Throws: `KitError`: damaged, or for a newer system.
    init(_ artifact: Contract.Artifact, compiled: URL, units: ComputeUnits) throws {
        self.artifact = artifact
        let configuration = MLModelConfiguration()
        configuration.computeUnits = units.value
        do {
            model = try MLModel(contentsOf: compiled, configuration: configuration)
        } catch {
            throw KitError("\(artifact.name) cannot be opened: it is damaged, or needs a newer iOS (\(error.localizedDescription)).")
        }
        guard model.modelDescription.inputDescriptionsByName[artifact.input.name] != nil else {
            throw KitError("\(artifact.name) has no input \(artifact.input.name): run `edgecls embed` again.")
        }
    }

    /// Pixels of the model's size as Core ML takes them.
    ///
    /// Normalisation and colour order are part of the package, so that pixels enter as they are.
    func input(_ pixels: Pixels) throws -> MLFeatureProvider {
        let value =
            try artifact.input.kind == .image
            ? MLFeatureValue(pixelBuffer: pixelBuffer(pixels))
            : MLFeatureValue(multiArray: multiArray(pixels))
        return try MLDictionaryFeatureProvider(dictionary: [artifact.input.name: value])
    }

    /// Scores in the order of the labels.
    func scores(_ input: MLFeatureProvider) throws -> [Float] {
        try scores(in: model.prediction(from: input))
    }

    /// - Throws: `KitError`: the answer holds no scores.
    func scores(in answer: MLFeatureProvider) throws -> [Float] {
        guard let output = answer.featureValue(for: artifact.output.name) else {
            throw KitError("\(artifact.name) has no output \(artifact.output.name): run `edgecls embed` again.")
        }
        if let array = output.multiArrayValue {
            return (0..<array.count).map { array[$0].floatValue }
        }
        let found = output.dictionaryValue
        let labels = model.modelDescription.classLabels ?? []
        let scores = labels.compactMap { label in (label as? AnyHashable).flatMap { found[$0]?.floatValue } }
        guard !labels.isEmpty, scores.count == labels.count else { throw KitError("\(artifact.name) does not score its own labels.") }
        // the package made two classes of the model's single score
        return artifact.output.shape?.last == 1 && scores.count == 2 ? [scores[1]] : scores
    }

    func pixelBuffer(_ pixels: Pixels) throws -> CVPixelBuffer {
        let format = pixels.channels == 1 ? kCVPixelFormatType_OneComponent8 : kCVPixelFormatType_32BGRA
        // memory that the GPU and the Neural Engine read without a copy
        let attributes = [kCVPixelBufferIOSurfacePropertiesKey: [String: Any]()] as CFDictionary
        var made: CVPixelBuffer?
        guard CVPixelBufferCreate(kCFAllocatorDefault, pixels.width, pixels.height, format, attributes, &made) == kCVReturnSuccess,
            let buffer = made
        else { throw KitError("There is no memory for a picture of \(pixels.width) x \(pixels.height).") }
        CVPixelBufferLockBaseAddress(buffer, [])
        defer { CVPixelBufferUnlockBaseAddress(buffer, []) }
        guard let base = CVPixelBufferGetBaseAddress(buffer) else { throw KitError("The picture's memory cannot be written.") }
        let bytesPerRow = CVPixelBufferGetBytesPerRow(buffer)
        for row in 0..<pixels.height {
            let line = (base + row * bytesPerRow).assumingMemoryBound(to: UInt8.self)
            for column in 0..<pixels.width {
                let source = (row * pixels.width + column) * pixels.channels
                if pixels.channels == 1 {
                    line[column] = pixels.values[source]
                } else {
                    line[4 * column] = pixels.values[source + 2]
                    line[4 * column + 1] = pixels.values[source + 1]
                    line[4 * column + 2] = pixels.values[source]
                    line[4 * column + 3] = 255
                }
            }
        }
        return buffer
    }

    private func multiArray(_ pixels: Pixels) throws -> MLMultiArray {
        guard let shape = model.modelDescription.inputDescriptionsByName[artifact.input.name]?.multiArrayConstraint?.shape else {
            throw KitError("\(artifact.name) takes no array: run `edgecls embed` again.")
        }
        guard shape.reduce(1, { $0 * $1.intValue }) == pixels.values.count else {
            throw KitError("\(artifact.name) takes another number of pixels than edgecls.json says: run `edgecls embed` again.")
        }
        let array = try MLMultiArray(shape: shape, dataType: .float32)
        array.withUnsafeMutableBufferPointer(ofType: Float.self) { target, _ in
            for (index, value) in pixels.values.enumerated() {
                target[index] = Float(value)
            }
        }
        return array
    }
}

/// An artifact with a picture ready, to be timed.
struct TimedClassifier: OpenArtifact {
    let engine: Engine
    private let classifier: CoreMLClassifier
    private let input: MLFeatureProvider

    init(_ classifier: CoreMLClassifier, _ pixels: Pixels, units: ComputeUnits, system: String) throws {
        self.classifier = classifier
        input = try classifier.input(pixels)
        let note = "Core ML does not tell which of the allowed processors it uses"
        engine = Engine(name: "Core ML", version: system, delegate: "compute units: \(units.rawValue)", note: note)
    }

    func invoke() throws {
        _ = try classifier.model.prediction(from: input)
    }
}
