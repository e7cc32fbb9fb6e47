import EdgeclsKit
import Foundation

/// A contract and a golden set as `edgecls embed` writes them; Python's tests read the same files as its own records.
enum Samples {
    static let here = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    static let golden = here.appendingPathComponent("golden.json")

    static func contract() throws -> String {
        try String(contentsOf: here.appendingPathComponent("contract.json"), encoding: .utf8)
    }

    /// The contract without the lines that older files lack.
    static func olderContract() throws -> String {
        try contract().components(separatedBy: "\n").filter { !$0.hasPrefix(#""fit""#) }.joined(separator: "\n")
    }

    /// What is made of a folder that holds a contract, or none.
    static func folder<Made>(_ text: String?, make: (URL) throws -> Made) throws -> Made {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        if let text {
            try Data(text.utf8).write(to: folder.appendingPathComponent(Contract.fileName))
        }
        return try make(folder)
    }
}
