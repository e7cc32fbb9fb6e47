import EdgeclsKit
import XCTest

/// What `edgecls embed` writes, and what an app says of files that it cannot use.
final class ContractTests: XCTestCase {
    private func read(_ text: String? = nil) throws -> Contract {
        try Samples.folder(text ?? Samples.contract()) { try Contract.read(folder: $0) }
    }

    private func sentence(about text: String?) throws -> String {
        try Samples.folder(text) { folder in
            do {
                _ = try Contract.read(folder: folder)
                return "read"
            } catch {
                return error.localizedDescription
            }
        }
    }

    func testAnEmbeddedContractIsRead() throws {
        let contract = try read()
        XCTAssertEqual(contract.labels, ["cat", "dog", "owl"])
        XCTAssertEqual(contract.artifacts.map(\.input.kind), [.image, .multiarray])
        XCTAssertEqual(contract.artifacts[0].sizeBytes, 1000)
        XCTAssertEqual(contract.imageSpec.filter, .bicubic)
        XCTAssertEqual(contract.imageSpec.cropShare, 0.875)
        XCTAssertEqual(contract.sourceSha256, "00ff")
    }

    func testAnOlderSpecMeansSqueezeAndAntialiasedBilinear() throws {
        let spec = try read(Samples.olderContract()).imageSpec
        XCTAssertEqual(spec.fit, .squeeze)
        XCTAssertEqual(spec.filter, .bilinearAntialiased)
        XCTAssertEqual(spec.padColor, [0, 0, 0])
    }

    func testAnUnknownVersionIsASentence() throws {
        let newer = try Samples.contract().replacingOccurrences(of: #""schema_version": 1"#, with: #""schema_version": 2"#)
        let expected = "edgecls.json has schema version 2, and this app knows 1: update the app, or embed with its edgecls."
        XCTAssertEqual(try sentence(about: newer), expected)
    }

    func testWhatIsMissingOrDamagedIsASentence() throws {
        XCTAssertEqual(try sentence(about: nil), "edgecls.json is missing: put a model into this app with `edgecls embed`.")
        let withoutLabels = try Samples.contract().replacingOccurrences(of: #""labels": ["cat", "dog", "owl"],"#, with: "")
        for damaged in ["{", withoutLabels] {
            XCTAssertEqual(try sentence(about: damaged), "edgecls.json is damaged: run `edgecls embed` again.")
        }
        let divided = try Samples.contract().replacingOccurrences(of: #""std": [255]"#, with: #""std": [0]"#)
        XCTAssertEqual(try sentence(about: divided), "The contract divides pixels by a std of 0.")
    }

    func testTheBestClassesComeFirst() throws {
        var contract = try read()
        XCTAssertEqual(try contract.topClasses(of: [0.2, 0.4, 0.4], count: 2).map(\.label), ["dog", "owl"])
        contract.outputKind = .logits
        let sure = try contract.topClasses(of: [0, 3, 1], count: 1)[0]
        XCTAssertEqual(sure.probability, exp(3) / (1 + exp(3) + exp(1)), accuracy: 1e-12)
        contract.labels = ["no", "yes"]
        XCTAssertEqual(try contract.topClasses(of: [-2], count: 1)[0].label, "no")  // one score: the second class where it is high
        XCTAssertThrowsError(try contract.topClasses(of: [1, 2, 3], count: 1)) { error in
            XCTAssertTrue(error.localizedDescription.hasPrefix("The model tells 3 classes apart, and edgecls.json names 2"))
        }
    }
}
