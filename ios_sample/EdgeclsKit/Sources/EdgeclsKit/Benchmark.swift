import Foundation

/// An artifact that is open, with a picture ready to be classified.
public protocol OpenArtifact {
    var engine: Engine { get }
    /// Classify the picture once.
    func invoke() throws
}

/// An artifact to measure.
public struct Candidate {
    /// Unique in a run; the artifact's own name where it is measured once.
    public var name: String
    public var artifact: Contract.Artifact
    public var open: () throws -> OpenArtifact

    public init(name: String, artifact: Contract.Artifact, open: @escaping () throws -> OpenArtifact) {
        (self.name, self.artifact, self.open) = (name, artifact, open)
    }
}

/// Times artifacts as `edgecls bench` does: they take turns in rotated order, so that drift of the device hits all alike.
public struct Benchmark {
    public var seconds = 1.0
    public var runs = 50
    public var rounds = 5
    public var warmupSeconds = 0.1
    public var warmupRuns = 5
    /// Nanoseconds of a clock that never goes back.
    public var clock: () -> UInt64 = { DispatchTime.now().uptimeNanoseconds }
    /// What the device does now.
    public var state: () -> DeviceState
    /// Pages that this process had to fetch from storage so far.
    public var faults: () -> Int = majorFaults

    private static let untimed = 2  // inferences before each turn: the caches hold another artifact's data
    private static let ratioConfidence = 0.99  // of a hundred pairs that are equal, one is told apart

    public init(state: @escaping () -> DeviceState) {
        self.state = state
    }

    /// Time every candidate.
    ///
    /// - Parameters:
    ///   - progress: is told the share that is done, 0 to 1.
    ///   - isCancelled: is asked before each turn.
    /// - Returns: a row for each, also for one that failed.
    /// - Throws: `CancellationError`.
    public func measure(
        _ candidates: [Candidate], progress: (Double) -> Void = { _ in }, isCancelled: () -> Bool = { false }
    ) throws -> [MeasuredArtifact] {
        var contestants = candidates.map { Contestant($0) }
        for index in contestants.indices {
            contestants[index].attempt { try open(&$0) }
        }
        for round in 0..<rounds {
            for place in contestants.indices {
                if isCancelled() { throw CancellationError() }
                contestants[(place + round) % contestants.count].attempt { try takeTurn(&$0) }
                progress(Double(round * contestants.count + place + 1) / Double(rounds * contestants.count))
            }
        }
        return compared(contestants.map(\.row))
    }

    private func open(_ contestant: inout Contestant) throws {
        var start = clock()
        let opened = try contestant.candidate.open()
        contestant.loadMs = milliseconds(since: start)
        start = clock()
        try opened.invoke()
        contestant.firstMs = milliseconds(since: start)
        contestant.opened = opened
        contestant.warmups = try sample(opened, warmupSeconds, warmupRuns).count
    }

    private func takeTurn(_ contestant: inout Contestant) throws {
        guard let opened = contestant.opened else { return }
        contestant.states.append(state())
        let before = faults()
        for _ in 0..<Self.untimed { try opened.invoke() }
        let count = Int((Double(runs) / Double(rounds)).rounded(.up))
        contestant.turns.append(try sample(opened, seconds / Double(rounds), count))
        contestant.faults += faults() - before
        contestant.states.append(state())
    }

    /// Milliseconds of each inference, at least so long and so often.
    private func sample(_ opened: OpenArtifact, _ seconds: Double, _ runs: Int) throws -> [Double] {
        var samples: [Double] = []
        let end = clock() + UInt64(seconds * 1e9)
        while true {
            let start = clock()
            try opened.invoke()
            let stop = clock()
            samples.append(Double(stop - start) / 1e6)
            if stop >= end && samples.count >= runs { return samples }
        }
    }

    private func milliseconds(since start: UInt64) -> Double {
        Double(clock() - start) / 1e6
    }

    /// The rows with their ratios to the float32 artifact, where there is one.
    private func compared(_ rows: [MeasuredArtifact]) -> [MeasuredArtifact] {
        guard rounds > 1, let reference = rows.first(where: { $0.scheme == "float32" && $0.latency != nil }), let theirs = reference.latency
        else { return rows }
        return rows.map { row in
            guard row.artifact != reference.artifact, let ours = row.latency else { return row }
            let (ratio, interval) = Statistics.ratio(ours.roundsP50Ms, to: theirs.roundsP50Ms, confidence: Self.ratioConfidence)
            let verdict: LatencyRatio.Verdict = interval.low > 1 ? .slower : interval.high < 1 ? .faster : .same
            var row = row
            row.latencyRatio = LatencyRatio(reference: reference.artifact, ratio: ratio, interval: interval, verdict: verdict)
            return row
        }
    }
}

/// A candidate and what is known of it so far.
private struct Contestant {
    let candidate: Candidate
    var opened: OpenArtifact?
    var failure: String?
    var loadMs: Double?
    var firstMs: Double?
    var warmups = 0
    var turns: [[Double]] = []
    var states: [DeviceState] = []
    var faults = 0

    init(_ candidate: Candidate) {
        self.candidate = candidate
    }

    /// One failure is one failed row; the others go on.
    mutating func attempt(_ step: (inout Contestant) throws -> Void) {
        if failure != nil { return }
        do {
            try step(&self)
        } catch {
            failure = error.localizedDescription
        }
    }

    var row: MeasuredArtifact {
        let artifact = candidate.artifact
        return MeasuredArtifact(
            artifact: candidate.name, path: artifact.file, target: artifact.target, scheme: artifact.scheme,
            status: failure == nil ? .ok : .failed, reason: failure ?? "",
            sizeBytes: artifact.sizeBytes, compressedBytes: artifact.compressedBytes ?? 0,
            latency: failure == nil ? latency : nil, latencyRatio: nil, loadMs: loadMs, firstInferenceMs: firstMs, engine: opened?.engine
        )
    }

    private var latency: Latency? {
        let samples = Array(turns.joined())
        guard !samples.isEmpty else { return nil }
        let sorted = samples.sorted()
        let medians = turns.map(Statistics.median)
        return Latency(
            runs: samples.count,
            p50Ms: Statistics.percentile(50, ofSorted: sorted),
            p90Ms: Statistics.percentile(90, ofSorted: sorted),
            p99Ms: Statistics.percentile(99, ofSorted: sorted),
            minMs: sorted[0],
            maxMs: sorted[sorted.count - 1],
            samplesMs: samples.map { ($0 * 1e4).rounded(.toNearestOrEven) / 1e4 },  // a tenth of a microsecond
            warmupRuns: warmups,
            roundsP50Ms: medians,
            validity: Validity(samples: samples, medians: medians, faults: faults, states: states),
            conditions: Conditions(majorFaults: faults)
        )
    }
}

/// Pages that this process had to fetch from storage so far.
public func majorFaults() -> Int {
    var usage = rusage()
    getrusage(0, &usage)  // RUSAGE_SELF, which is an enumeration on Linux and a number on Apple's systems
    return Int(usage.ru_majflt)
}
