import EdgeclsKit
import XCTest

/// What `edgecls embed` put into the copy of this sample that EMBEDDED names. Only Apple's systems decode its pictures: `decoded.json`, beside
/// the project, has them as numbers.
final class EmbeddedFolderTests: XCTestCase {
    private struct Decoded: Decodable {
        var height, width, channels: Int
        var values: Data

        var pixels: Pixels { Pixels(height: height, width: width, channels: channels, values: [UInt8](values)) }
    }

    func testItsPicturesBecomeTheGoldenPixels() throws {
        guard let path = ProcessInfo.processInfo.environment["EMBEDDED"] else { throw XCTSkip("EMBEDDED names no sample") }
        let sample = URL(fileURLWithPath: path)
        let folder = sample.appendingPathComponent("EdgeclsModels")
        let contract = try Contract.read(folder: folder)
        let golden = try GoldenSet.read(folder.appendingPathComponent(XCTUnwrap(contract.golden)))
        let pictures = try JSONDecoder().decode(
            [String: Decoded].self, from: Data(contentsOf: sample.appendingPathComponent("decoded.json"))
        )
        XCTAssertEqual(Set(golden.images.flatMap { [$0.file, $0.pixels] }), Set(pictures.keys))
        for image in golden.images {
            let found = contract.imageSpec.pixels(of: try XCTUnwrap(pictures[image.file]).pixels)
            let expected = try XCTUnwrap(pictures[image.pixels]).pixels
            XCTAssertEqual([found.height, found.width, found.channels], [expected.height, expected.width, expected.channels], image.name)
            XCTAssertEqual(Deviation(of: found.values, from: expected.values).largest, 0, image.name)
            for artifact in contract.artifacts {
                XCTAssertEqual(image.scores[artifact.name]?.count, contract.labels.count, "\(image.name), \(artifact.name)")
            }
        }
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        try TestOutput.write(encoder.encode(contract), to: "contract.json")
    }
}
