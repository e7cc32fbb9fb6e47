import EdgeclsKit
import XCTest

/// The golden set that comes with a model, and how far a device is from it.
final class GoldenSetTests: XCTestCase {
    func testAGoldenSetIsRead() throws {
        let image = try GoldenSet.read(Samples.golden).images[0]
        XCTAssertEqual(image.scores, ["coreml_float32": [0.25, 0.5, 0.25]])
        XCTAssertEqual(image.decoding, .lossless)
    }

    func testDeviationIsTheLargestAndTheMean() {
        let deviation = Deviation(of: [0, 10, 20, 30] as [UInt8], from: [0, 12, 19, 30])
        XCTAssertEqual(deviation.largest, 2)
        XCTAssertEqual(deviation.mean, 0.75)
    }
}
