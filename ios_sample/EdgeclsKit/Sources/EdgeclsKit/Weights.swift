/// Which pixels of a side of the picture make each pixel of a side of the result, and with which weights.
///
/// As Pillow's `precompute_coeffs`: computed in double, then fixed point, so that every machine adds the same whole numbers.
struct Weights {
    static let fractionBits = 22  // 32, less 8 of the pixel and 2 for sums beyond its range
    static let lowBits = 15  // of a weight, that are a number of 16 bits without a sign
    typealias Lanes = SIMD8<Int16>  // what is multiplied at once

    let firsts: [Int]
    let counts: [Int]
    /// `stride` for each pixel of the result, zeros behind its own.
    let values: [Int32]
    /// The same in two halves of 16 bits: `lows + highs << lowBits`.
    let lows, highs: [Int16]
    /// A multiple of the lanes' number.
    let stride: Int

    /// - Parameters:
    ///   - kernel: the filter.
    ///   - side: of the picture.
    ///   - start, end: of the box on this side; Pillow takes both as float32.
    ///   - size: the side that the box is resampled to.
    ///   - wanted: the pixels of it that are looked at.
    init(_ kernel: Kernel, side: Int, from start: Double, to end: Double, size: Int, wanted: Range<Int>) {
        let (start, end) = (Float(start), Float(end))
        let scale = Double(end - start) / Double(size)
        let reduction = max(scale, 1)
        let support = kernel.support * reduction
        let longest = Int(support.rounded(.up)) * 2 + 1
        let stride = (longest + Lanes.scalarCount - 1) / Lanes.scalarCount * Lanes.scalarCount
        var firsts: [Int] = []
        var counts: [Int] = []
        var values = [Int32](repeating: 0, count: wanted.count * stride)
        for (row, pixel) in wanted.enumerated() {
            let centre = Double(start) + (Double(pixel) + 0.5) * scale
            let first = max(0, Int(centre - support + 0.5))
            let count = min(side, Int(centre + support + 0.5)) - first
            var weights = (0..<count).map { kernel.weight((Double($0 + first) - centre + 0.5) * (1 / reduction)) }
            let sum = weights.reduce(0, +)
            if sum != 0 { weights = weights.map { $0 / sum } }
            for (place, weight) in weights.enumerated() {
                values[row * stride + place] = Int32((weight < 0 ? -0.5 : 0.5) + weight * Double(1 << Self.fractionBits))
            }
            firsts.append(first)
            counts.append(count)
        }
        (self.firsts, self.counts, self.values, self.stride) = (firsts, counts, values, stride)
        lows = values.map { Int16($0 & (1 << Self.lowBits - 1)) }
        highs = values.map { Int16($0 >> Self.lowBits) }
    }

    /// The pixels of the picture's side that any of them needs.
    var needed: Range<Int> {
        (firsts.min() ?? 0)..<(zip(firsts, counts).map(+).max() ?? 0)
    }
}
