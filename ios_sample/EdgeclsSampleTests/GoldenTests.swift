import XCTest

@testable import EdgeclsSample

/// The embedded model on this device or simulator, held against the host's golden set.
final class GoldenTests: XCTestCase {
    func testThisDeviceSeesWhatTheHostSaw() throws {
        let folder = try ModelFolder()
        let golden = try XCTUnwrap(folder.golden(), "no golden set is embedded")
        for artifact in folder.artifacts {
            let classifier = try CoreMLClassifier(artifact, compiled: folder.compiled(artifact), units: .cpu)
            let check = try GoldenCheck(golden, folder: folder, classifier: classifier)
            XCTAssertFalse(check.rows.isEmpty, "no golden scores of \(artifact.name)")
            for row in check.rows {
                let what = "\(row.image.name), \(artifact.name)"
                switch row.image.decoding {
                case .lossless:
                    XCTAssertEqual(row.pixels.largest, 0, what)
                case .jpeg:  // decoders of JPEG may round otherwise
                    XCTAssertLessThanOrEqual(row.pixels.largest, 2, what)
                    XCTAssertLessThan(row.pixels.mean, 0.1, what)
                }
                XCTAssertTrue(row.sameWinner, what)
            }
        }
    }
}
