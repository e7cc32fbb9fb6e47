import Foundation

/// Figures of samples, as `edgecls bench` computes them.
enum Statistics {
    /// Linear between neighbours, as NumPy's `percentile`, rounding included.
    ///
    /// - Parameter sorted: ascending, one at least.
    static func percentile(_ percent: Double, ofSorted sorted: [Double]) -> Double {
        let place = percent / 100 * Double(sorted.count - 1)
        let index = min(Int(place), sorted.count - 1)
        let (below, above) = (sorted[index], sorted[min(index + 1, sorted.count - 1)])
        let share = place - Double(index)
        return share < 0.5 ? below + (above - below) * share : above - (above - below) * (1 - share)
    }

    static func percentile(_ percent: Double, of samples: [Double]) -> Double {
        percentile(percent, ofSorted: samples.sorted())
    }

    /// Of two neighbours the mean, as NumPy's `median`.
    static func median(_ samples: [Double]) -> Double {
        let sorted = samples.sorted()
        let middle = sorted.count / 2
        return sorted.count.isMultiple(of: 2) ? (sorted[middle - 1] + sorted[middle]) / 2 : sorted[middle]
    }

    /// Ratio of two latencies measured in turns: geometric mean of the rounds' ratios, with its paired t interval.
    ///
    /// - Parameters:
    ///   - ours, theirs: median of each round, the same rounds in the same order; two at least.
    static func ratio(_ ours: [Double], to theirs: [Double], confidence: Double) -> (ratio: Double, interval: Interval) {
        let logs = zip(ours, theirs).map { log($0 / $1) }
        let count = Double(logs.count)
        let centre = logs.reduce(0, +) / count
        let variance = logs.reduce(0) { $0 + ($1 - centre) * ($1 - centre) } / (count - 1)
        let margin = studentBound(confidence, freedom: logs.count - 1) * (variance / count).squareRoot()
        return (exp(centre), Interval(low: exp(centre - margin), high: exp(centre + margin), confidence: confidence))
    }

    /// The bound that the size of Student's t with so many degrees of freedom stays below with this probability, by halving an angle.
    private static func studentBound(_ confidence: Double, freedom: Int) -> Double {
        var (low, high) = (0.0, Double.pi / 2)
        for _ in 0..<60 {  // which leaves nothing that a Double tells apart
            let middle = (low + high) / 2
            if studentWithin(middle, freedom) < confidence { low = middle } else { high = middle }
        }
        return Double(freedom).squareRoot() * tan(low)
    }

    /// Probability that the size of t is at most sqrt(freedom) * tan(angle): Abramowitz and Stegun 1964, 26.7.3 and 26.7.4.
    private static func studentWithin(_ angle: Double, _ freedom: Int) -> Double {
        let odd = freedom % 2
        let cosine = cos(angle)
        var (term, total) = (odd == 1 ? cosine : 1.0, 0.0)
        for index in stride(from: 2 + odd, through: freedom, by: 2) {
            total += term
            term *= cosine * cosine * Double(index - 1) / Double(index)
        }
        let share = sin(angle) * total
        return odd == 1 ? 2 / Double.pi * (angle + share) : share
    }
}
