import Foundation

/// `golden.json`: pictures, the exact pixels that must enter the model for each, and each artifact's scores on the host.
public struct GoldenSet: Codable, Sendable {
    public static let schemaVersion = 1

    public struct Image: Codable, Sendable {
        public enum Decoding: String, Codable, Sendable {
            case lossless
            case jpeg
        }

        public var name: String
        public var file: String
        public var pixels: String
        public var decoding: Decoding
        public var scores: [String: [Float]]
    }

    public var images: [Image]

    /// - Throws: `KitError`: not there, damaged, or of a version that this app does not know.
    public static func read(_ file: URL) throws -> GoldenSet {
        try readVersioned(file, schemaVersion: schemaVersion)
    }
}

/// How far values are from those that should be there.
public struct Deviation: Equatable, Sendable {
    public let largest: Double
    public let mean: Double

    /// - Precondition: as many of one as of the other, and some.
    public init<Value: BinaryInteger>(of found: [Value], from expected: [Value]) {
        self.init(of: found.map(Double.init), from: expected.map(Double.init))
    }

    public init(of found: [Double], from expected: [Double]) {
        precondition(found.count == expected.count && !found.isEmpty, "as many as expected")
        let distances = zip(found, expected).map { abs($0 - $1) }
        largest = distances.max() ?? 0
        mean = distances.reduce(0, +) / Double(distances.count)
    }
}
