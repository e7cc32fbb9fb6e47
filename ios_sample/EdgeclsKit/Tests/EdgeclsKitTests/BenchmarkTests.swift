import EdgeclsKit
import XCTest

/// Measuring, on a clock that the artifacts themselves turn.
final class BenchmarkTests: XCTestCase {
    private final class Clock {
        var now: UInt64 = 0
    }

    /// Takes so many milliseconds each time, over and over.
    private final class Fake: OpenArtifact {
        let engine = Engine(name: "Core ML", version: "18.0", delegate: "all")
        private let clock: Clock
        private let times: [Double]
        private var count = 0

        init(_ clock: Clock, _ times: [Double]) {
            (self.clock, self.times) = (clock, times)
        }

        func invoke() {
            clock.now += UInt64(times[count % times.count] * 1e6)
            count += 1
        }
    }

    private let clock = Clock()
    private var state = DeviceState(powerSaving: false, heat: .nominal, emulated: false)

    private var contract: Contract!

    override func setUpWithError() throws {
        contract = try Samples.folder(Samples.contract()) { try Contract.read(folder: $0) }
    }

    private func candidate(_ index: Int, _ times: [Double]) -> Candidate {
        Candidate(name: contract.artifacts[index].name, artifact: contract.artifacts[index]) { [clock] in
            clock.now += 7_000_000
            return Fake(clock, times)
        }
    }

    private func rows(of candidates: [Candidate]) throws -> [MeasuredArtifact] {
        var benchmark = Benchmark { [state] in state }
        benchmark.clock = { [clock] in clock.now }
        benchmark.faults = { 0 }
        return try benchmark.measure(candidates)
    }

    func testFiguresAreThoseOfTheSamples() throws {
        let found = try rows(of: [candidate(0, [4, 4, 4, 4, 4, 4, 4, 4, 4, 5]), candidate(1, [2])])
        let first = try XCTUnwrap(found[0].latency)
        XCTAssertEqual(found[0].loadMs, 7)
        XCTAssertEqual(found[0].firstInferenceMs, 4)
        XCTAssertEqual(first.p50Ms, 4)
        XCTAssertEqual(first.maxMs, 5)
        XCTAssertEqual(first.runs, first.samplesMs.count)
        XCTAssertEqual(first.roundsP50Ms, [4, 4, 4, 4, 4])
        XCTAssertGreaterThanOrEqual(first.samplesMs.reduce(0, +), 1000)
        XCTAssertEqual(first.validity.reasons, [])
        XCTAssertEqual(first.validity.verdict, .valid)
        let ratio = try XCTUnwrap(found[1].latencyRatio)
        XCTAssertEqual(ratio.reference, "coreml-float32")
        XCTAssertEqual(ratio.ratio, 0.5, accuracy: 1e-12)
        XCTAssertEqual(ratio.verdict, .faster)
    }

    func testWhatLowersTheClockMakesATimeInvalid() throws {
        state.powerSaving = true
        XCTAssertEqual(try rows(of: [candidate(0, [4])])[0].latency?.validity.reasons.map(\.code), [.frequencyChanged])
        state = DeviceState(powerSaving: false, heat: .serious, emulated: false)
        let reason = try XCTUnwrap(rows(of: [candidate(0, [4])])[0].latency?.validity.reasons.first)
        XCTAssertEqual(reason.text, "frequency changed: the device was hot (thermal state serious), which lowers the clock")
        state.emulated = true
        XCTAssertEqual(try rows(of: [candidate(0, [4])])[0].latency?.validity.reasons.map(\.code), [.emulated])
    }

    func testNoiseMakesATimeInvalid() throws {
        let slowerAndSlower = (0..<2000).map { 1 + Double($0) / 1000 }
        let latency = try XCTUnwrap(rows(of: [candidate(0, slowerAndSlower)])[0].latency)
        XCTAssertEqual(latency.validity.reasons.map(\.code), [.tooNoisy])
    }

    func testAnArtifactThatFailsIsARowWithItsReason() throws {
        let broken = Candidate(name: "coreml-int8", artifact: contract.artifacts[1]) { throw KitError("The file is damaged.") }
        let found = try rows(of: [candidate(0, [4]), broken])
        XCTAssertEqual(found[1].status, .failed)
        XCTAssertEqual(found[1].reason, "The file is damaged.")
        XCTAssertNil(found[1].latency)
        XCTAssertEqual(found[0].status, .ok)
    }

    func testItCanBeStopped() {
        let benchmark = Benchmark { [state] in state }
        XCTAssertThrowsError(try benchmark.measure([candidate(0, [4])], isCancelled: { true })) { error in
            XCTAssertTrue(error is CancellationError)
        }
    }

    /// Written for Python, which holds the file against the schema and `edgecls report`.
    func testResultsAreWritten() throws {
        let drifting = (0..<700).map { 2 + Double($0 * 31 % 97) / 400 + Double($0) / 1000 }
        let found = try rows(of: [candidate(0, (0..<97).map { 4 + Double($0 * 31 % 97) / 200 }), candidate(1, drifting)])
        let environment = DeviceDescription(
            platform: "iOS 18.1", machine: "arm64", processor: "iPhone17,1", cores: 6, memoryBytes: 8 << 30, device: "iPhone"
        )
        let created = Date(timeIntervalSince1970: 1_750_000_000)
        let results = Results(
            contract: contract, environment: environment, notes: ["made by a test"], measurements: found, created: created
        )
        try TestOutput.write(results.json(), to: "results.json")
    }
}
