import EdgeclsKit
import XCTest

/// How long 12 megapixels take; what that may be is judged by who started the tests, beside Pillow's time.
final class SpeedTests: XCTestCase {
    func testTwelveMegapixelsAreTimed() throws {
        let (height, width) = (3000, 4000)
        let values = (0..<height * width * 3).map { UInt8(truncatingIfNeeded: $0 &* 7919 >> 5) }
        let picture = Pixels(height: height, width: width, channels: 3, values: values)
        var times: [String: Double] = [:]
        for filter in Filter.allCases {
            var spec = ImageSpec(height: 224, width: 224, channels: 3)
            spec.filter = filter
            times[filter.rawValue] = (0..<5).map { _ in
                let start = processorTimeMs()
                XCTAssertEqual(spec.pixels(of: picture).width, 224)
                return processorTimeMs() - start
            }.min()
        }
        try TestOutput.write(JSONEncoder().encode(times), to: "resize_ms.json")
    }

    /// Of this thread, whatever else the machine does.
    private func processorTimeMs() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) * 1e3 + Double(time.tv_nsec) / 1e6
    }
}
