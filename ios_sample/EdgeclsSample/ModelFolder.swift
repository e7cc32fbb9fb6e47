import EdgeclsKit
import Foundation

/// What `edgecls embed` put into `EdgeclsModels`, as it stands in the app.
struct ModelFolder {
    let contract: Contract
    private let bundle: Bundle

    /// - Throws: `KitError`: nothing is embedded, or nothing that this app can use.
    init(bundle: Bundle = .main) throws {
        self.bundle = bundle
        guard let folder = bundle.resourceURL else { throw KitError("This app has no resources.") }
        contract = try Contract.read(folder: folder)
        guard !artifacts.isEmpty else {
            throw KitError("None of the embedded artifacts is a Core ML package: run `edgecls embed` with one.")
        }
    }

    var artifacts: [Contract.Artifact] { contract.artifacts.filter { $0.target == "coreml" } }

    /// The golden set, where one is embedded.
    func golden() throws -> GoldenSet? {
        try contract.golden.map { try GoldenSet.read(file($0)) }
    }

    /// A file that the contract names. Xcode copies those of a synchronized folder side by side, whatever folder they were in.
    ///
    /// - Throws: `KitError`: it is missing.
    func file(_ name: String) throws -> URL {
        let last = URL(fileURLWithPath: name).lastPathComponent
        guard let found = bundle.url(forResource: last, withExtension: nil) else {
            throw KitError("\(last) is missing in the app: run `edgecls embed` again, and build.")
        }
        return found
    }

    /// An artifact as Xcode compiled it.
    ///
    /// - Throws: `KitError`: it is missing.
    func compiled(_ artifact: Contract.Artifact) throws -> URL {
        try file(URL(fileURLWithPath: artifact.file).deletingPathExtension().lastPathComponent + ".mlmodelc")
    }
}
