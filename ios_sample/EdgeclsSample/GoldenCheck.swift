import EdgeclsKit
import Foundation

/// Whether this device sees what the host saw: the golden set's pixels, and an artifact's scores of them.
struct GoldenCheck {
    struct Row {
        let image: GoldenSet.Image
        let pixels: Deviation
        let scores: Deviation
        let sameWinner: Bool
    }

    let artifact: String
    let rows: [Row]

    /// - Throws: `KitError`: a file of the set is missing or damaged, or pixels do not fit the model.
    init(_ golden: GoldenSet, folder: ModelFolder, classifier: CoreMLClassifier) throws {
        artifact = classifier.artifact.name
        let spec = folder.contract.imageSpec
        rows = try golden.images.compactMap { image in
            guard let expected = image.scores[classifier.artifact.name] else { return nil }
            let pixels = spec.pixels(of: try Self.picture(image.file, folder))
            let wanted = try Self.picture(image.pixels, folder).converted(toChannels: spec.channels)
            guard (wanted.height, wanted.width) == (pixels.height, pixels.width) else {
                throw KitError("The golden set is of another image size than the model: run `edgecls embed` again.")
            }
            let scores = try classifier.scores(classifier.input(pixels))
            guard scores.count == expected.count else {
                throw KitError("The golden set has another number of scores than \(classifier.artifact.name): run `edgecls embed` again.")
            }
            return Row(
                image: image,
                pixels: Deviation(of: pixels.values, from: wanted.values),
                scores: Deviation(of: scores.map(Double.init), from: expected.map(Double.init)),
                sameWinner: scores.firstIndex(of: scores.max() ?? 0) == expected.firstIndex(of: expected.max() ?? 0)
            )
        }
    }

    /// One sentence for results and screen.
    var sentence: String {
        guard !rows.isEmpty else { return "golden set: it has no scores of \(artifact)" }
        let winners = rows.filter(\.sameWinner).count
        let scores = String(format: "%.2g", rows.map(\.scores.largest).max() ?? 0)
        let pixels = Int(rows.map(\.pixels.largest).max() ?? 0)
        return "golden set, \(artifact): the host's winner on \(winners) of \(rows.count) pictures, scores at most \(scores) apart, "
            + "pixels at most \(pixels) levels apart"
    }

    private static func picture(_ name: String, _ folder: ModelFolder) throws -> Pixels {
        let file = try folder.file(name)
        guard let data = try? Data(contentsOf: file) else { throw KitError("\(name) cannot be read.") }
        return try PictureFile.pixels(of: data)
    }
}
