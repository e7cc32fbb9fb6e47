import EdgeclsKit
import XCTest

/// Every byte that Python's libraries make of a picture, and every number that then enters a model.
final class PixelsTests: XCTestCase {
    private struct Vectors: Decodable {
        struct Source: Decodable {
            var name: String
            var height, width, channels, offset, sizeBytes: Int
        }

        struct Case: Decodable {
            var source: Int
            var fit: Fit
            var cropShare: Double?
            var padColor: [UInt8]
            var filter: Filter
            var height, width, offset, sizeBytes: Int
        }

        var sources: [Source]
        var cases: [Case]
    }

    private struct Normalisations: Decodable {
        struct Case: Decodable {
            var spec: ImageSpec
            var pixels: [UInt8]
            var inputs: [Float]
        }

        var cases: [Case]
    }

    func testEveryFitFilterAndSizeGivesPythonsBytes() throws {
        let vectors: Vectors = try Golden.read("vectors.json")
        let sources = try Golden.bytes("sources.bin")
        let expected = try Golden.bytes("pixels.bin")
        for item in vectors.cases {
            let source = vectors.sources[item.source]
            let picture = Pixels(
                height: source.height, width: source.width, channels: source.channels,
                values: Array(sources[source.offset..<(source.offset + source.sizeBytes)])
            )
            var spec = ImageSpec(height: item.height, width: item.width, channels: source.channels)
            (spec.fit, spec.cropShare, spec.padColor, spec.filter) = (item.fit, item.cropShare, item.padColor, item.filter)
            let wanted = expected[item.offset..<(item.offset + item.sizeBytes)]
            let differing = zip(spec.pixels(of: picture).values, wanted).filter { $0 != $1 }
            XCTAssertEqual(differing.count, 0, "\(source.name): \(item), first \(differing.first ?? (0, 0))")
        }
        let kinds = Set(vectors.cases.map { "\($0.fit) \($0.cropShare ?? 0) \($0.filter)" })
        XCTAssertEqual(kinds.count, 20, "5 filters x 4 fits")
    }

    func testColourOrderLayoutMeanAndStdGivePythonsNumbers() throws {
        let table: Normalisations = try Golden.read("normalisation.json")
        XCTAssertGreaterThanOrEqual(table.cases.count, 12)
        for item in table.cases {
            let pixels = Pixels(height: item.spec.height, width: item.spec.width, channels: item.spec.channels, values: item.pixels)
            XCTAssertEqual(item.spec.input(of: pixels), item.inputs, "\(item.spec)")
        }
    }

    func testColoursBecomeBrightnessAndBack() {
        let colors = Pixels(height: 1, width: 3, channels: 3, values: [255, 0, 0, 0, 255, 0, 10, 10, 10])
        let gray = colors.converted(toChannels: 1)
        XCTAssertEqual(gray.values, [76, 150, 10])  // as Pillow: round(0.299 * 255), round(0.587 * 255)
        XCTAssertEqual(gray.converted(toChannels: 3).values, [76, 76, 76, 150, 150, 150, 10, 10, 10])
    }
}
