/// What lowers a device's clock.
public struct DeviceState: Equatable, Sendable {
    public enum Heat: Int, Comparable, Sendable {
        case nominal
        case fair
        case serious
        case critical

        public static func < (one: Heat, other: Heat) -> Bool { one.rawValue < other.rawValue }
    }

    public var powerSaving: Bool
    public var heat: Heat
    /// A simulator: its times tell nothing about a phone.
    public var emulated: Bool

    public init(powerSaving: Bool, heat: Heat, emulated: Bool) {
        (self.powerSaving, self.heat, self.emulated) = (powerSaving, heat, emulated)
    }
}

extension Validity {
    // Limits as `edgecls bench` has them.
    private static let leastRuns = 50
    private static let leastSeconds = 1.0
    private static let sampledShare = 0.9  // of the seconds asked for: the clock of the loop also counts what lies between two inferences
    private static let mostSpread = 0.10
    private static let mostFaults = 0.01

    /// Every reason that speaks against a latency.
    ///
    /// - Parameters:
    ///   - samples: of all turns, milliseconds.
    ///   - medians: of each turn.
    ///   - faults: pages that came from storage meanwhile.
    ///   - states: of the device, at the ends of the turns.
    init(samples: [Double], medians: [Double], faults: Int, states: [DeviceState]) {
        if states.contains(where: \.emulated) {
            let text = "emulated: a simulator takes the device's place, and its times tell nothing about a real one"
            self.init(verdict: .invalid, reasons: [Reason(code: .emulated, text: text)])
            return
        }
        let found: [(Reason.Code, String?)] = [
            (.tooFewRuns, Self.tooFew(samples)),
            (.tooNoisy, Self.tooNoisy(samples, medians)),
            (.frequencyChanged, Self.slowed(states)),
            (.memorySwapped, Self.swapped(faults, samples.count)),
        ]
        let reasons = found.compactMap { code, text in text.map { Reason(code: code, text: $0) } }
        self.init(verdict: reasons.isEmpty ? .valid : .invalid, reasons: reasons)
    }

    private static func tooFew(_ samples: [Double]) -> String? {
        let seconds = samples.reduce(0, +) / 1000
        if samples.count >= leastRuns && seconds >= sampledShare * leastSeconds { return nil }
        return "too few runs: \(samples.count) in \(rounded(seconds)) s, needed \(leastRuns) and \(Int(leastSeconds)) s"
    }

    private static func tooNoisy(_ samples: [Double], _ medians: [Double]) -> String? {
        if medians.count < 2 { return "too noisy to tell: a single round" }
        let range = Statistics.percentile(90, of: medians) - Statistics.percentile(10, of: medians)
        let spread = range / Statistics.percentile(50, of: samples)
        if spread <= mostSpread { return nil }
        return "too noisy: medians of the rounds lie \(percent(spread)) apart, allowed \(percent(mostSpread))"
    }

    private static func slowed(_ states: [DeviceState]) -> String? {
        if states.contains(where: \.powerSaving) { return "frequency changed: Low Power Mode was on, which lowers the clock" }
        guard let hottest = states.map(\.heat).max(), hottest >= .serious else { return nil }
        return "frequency changed: the device was hot (thermal state \(hottest)), which lowers the clock"
    }

    private static func swapped(_ faults: Int, _ runs: Int) -> String? {
        Double(faults) > mostFaults * Double(runs) ? "memory swapped: \(faults) pages came from storage" : nil
    }

    private static func percent(_ share: Double) -> String {
        "\(Int((share * 100).rounded()))%"
    }

    private static func rounded(_ seconds: Double) -> Double {
        (seconds * 100).rounded() / 100
    }
}
