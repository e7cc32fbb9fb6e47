import Foundation

/// `edgecls.json`: what `edgecls embed` put into the app.
public struct Contract: Codable, Equatable, Sendable {
    public static let fileName = "edgecls.json"
    public static let schemaVersion = 1

    public struct Artifact: Codable, Equatable, Sendable {
        public struct Tensor: Codable, Equatable, Sendable {
            /// Core ML alone: what the input is made of.
            public enum Kind: String, Codable, Sendable {
                case image
                case multiarray
            }

            public var name: String
            public var dtype: String?
            public var shape: [Int]?
            public var kind: Kind?
        }

        public var name: String
        public var file: String
        public var target: String
        public var scheme: String
        public var sizeBytes: Int
        public var compressedBytes: Int?
        public var sha256: String
        public var input: Tensor
        public var output: Tensor
    }

    public enum OutputKind: String, Codable, Sendable {
        case softmax
        case sigmoid
        case logits
    }

    public var model: String
    public var edgeclsVersion: String
    public var sourceSha256: String?
    public var labels: [String]
    public var outputKind: OutputKind
    public var imageSpec: ImageSpec
    public var artifacts: [Artifact]
    public var golden: String?

    /// The contract in a folder that `edgecls embed` filled.
    ///
    /// - Throws: `KitError`: not there, damaged, or of a version that this app does not know.
    public static func read(folder: URL) throws -> Contract {
        let contract: Contract = try readVersioned(folder.appendingPathComponent(fileName), schemaVersion: schemaVersion)
        guard !contract.artifacts.isEmpty else { throw KitError("The contract names no artifact: run `edgecls embed` again.") }
        return contract
    }
}

private struct Version: Decodable {
    var schemaVersion: Int
}

/// A JSON file that says its `schema_version`.
///
/// - Throws: `KitError`: not there, damaged, or of another version.
func readVersioned<Content: Decodable>(_ file: URL, schemaVersion: Int) throws -> Content {
    let name = file.lastPathComponent
    guard let data = try? Data(contentsOf: file) else {
        throw KitError("\(name) is missing: put a model into this app with `edgecls embed`.")
    }
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    guard let version = try? decoder.decode(Version.self, from: data).schemaVersion else {
        throw KitError("\(name) is damaged: run `edgecls embed` again.")
    }
    guard version == schemaVersion else {
        throw KitError(
            "\(name) has schema version \(version), and this app knows \(schemaVersion): update the app, or embed with its edgecls."
        )
    }
    do {
        return try decoder.decode(Content.self, from: data)
    } catch let error as KitError {
        throw error
    } catch {
        throw KitError("\(name) is damaged: run `edgecls embed` again.")
    }
}
