/// Part of the result of resampling a box of a picture.
///
/// - Parameters:
///   - picture: the whole picture.
///   - place: the box, and the size that it is resampled to.
///   - columns, rows: the part of that which is wanted.
func resample(_ picture: Pixels, _ place: Placement, _ filter: Filter, columns: Range<Int>, rows: Range<Int>) -> Pixels {
    if let kernel = filter.kernel {
        return weigh(picture, place, kernel, columns: columns, rows: rows)
    }
    return filter == .nearest
        ? pick(picture, place, columns: columns, rows: rows)
        : interpolate(picture, place, columns: columns, rows: rows)
}

// MARK: - nearest

/// As Pillow's `ImagingScaleAffine`: the place is stepped on, not multiplied, which rounds otherwise.
private func pick(_ picture: Pixels, _ place: Placement, columns: Range<Int>, rows: Range<Int>) -> Pixels {
    let channels = picture.channels
    let xs = steps(from: place.box.left, to: place.box.right, size: place.width, side: picture.width)[columns]
    let ys = steps(from: place.box.top, to: place.box.bottom, size: place.height, side: picture.height)[rows]
    var values: [UInt8] = []
    values.reserveCapacity(rows.count * columns.count * channels)
    for y in ys {
        for x in xs {
            let start = (y * picture.width + x) * channels
            values.append(contentsOf: picture.values[start..<(start + channels)])
        }
    }
    return Pixels(height: rows.count, width: columns.count, channels: channels, values: values)
}

private func steps(from start: Double, to end: Double, size: Int, side: Int) -> [Int] {
    let step = Double(Float(end) - Float(start)) / Double(size)
    var position = Double(Float(start)) + step * 0.5
    return (0..<size).map { _ in
        defer { position += step }
        return min(Int(position), side - 1)
    }
}

// MARK: - bilinear without antialiasing

/// As TensorFlow's `ResizeBilinear` with half-pixel centres, in float32, on the cut-out; rounded, ties to even.
private func interpolate(_ picture: Pixels, _ place: Placement, columns: Range<Int>, rows: Range<Int>) -> Pixels {
    let channels = picture.channels
    let xs = neighbours(from: place.box.left, to: place.box.right, size: place.width)[columns]
    let ys = neighbours(from: place.box.top, to: place.box.bottom, size: place.height)[rows]
    var values: [UInt8] = []
    values.reserveCapacity(rows.count * columns.count * channels)
    picture.values.withUnsafeBufferPointer { source in
        for y in ys {
            let (upper, lower) = (y.before * picture.width, y.after * picture.width)
            for x in xs {
                for channel in 0..<channels {
                    let at = { (row: Int, column: Int) in Float(source[(row + column) * channels + channel]) }
                    let top = at(upper, x.before) + (at(upper, x.after) - at(upper, x.before)) * x.share
                    let bottom = at(lower, x.before) + (at(lower, x.after) - at(lower, x.before)) * x.share
                    values.append(UInt8((top + (bottom - top) * y.share).rounded(.toNearestOrEven)))
                }
            }
        }
    }
    return Pixels(height: rows.count, width: columns.count, channels: channels, values: values)
}

/// Between which two pixels each pixel of the result lies, and how far.
private func neighbours(from start: Double, to end: Double, size: Int) -> [(before: Int, after: Int, share: Float)] {
    let (first, side) = (Int(start), Int(end - start))
    let scale = Float(side) / Float(size)
    return (0..<size).map { pixel in
        let position = (Float(pixel) + 0.5) * scale - 0.5
        let floor = position.rounded(.down)
        return (first + max(0, Int(floor)), first + min(side - 1, Int(floor) + 1), position - floor)
    }
}

// MARK: - filters with antialiasing

/// As Pillow's `ImagingResample`: one side after the other, each to eight bits; a pass that changes nothing is left out.
private func weigh(_ picture: Pixels, _ place: Placement, _ kernel: Kernel, columns: Range<Int>, rows: Range<Int>) -> Pixels {
    let box = place.box
    let across = Weights(kernel, side: picture.width, from: box.left, to: box.right, size: place.width, wanted: columns)
    let down = Weights(kernel, side: picture.height, from: box.top, to: box.bottom, size: place.height, wanted: rows)
    let keepsColumns = isWhole(box.left, box.right, place.width, picture.width)
    let keepsRows = isWhole(box.top, box.bottom, place.height, picture.height)
    if !keepsRows && isShortenedFirst(picture, place) {
        let short = weighDown(picture, down, firstRow: 0)
        let all = 0..<short.height
        return keepsColumns ? cut(short, columns: columns, rows: all) : weighAcross(short, across, rows: all)
    }
    let needed = keepsRows ? rows : down.needed
    let narrow = keepsColumns ? cut(picture, columns: columns, rows: needed) : weighAcross(picture, across, rows: needed)
    return keepsRows ? narrow : weighDown(narrow, down, firstRow: needed.lowerBound)
}

/// Pillow 13 begins with the rows' number where it falls by more than twice what a row gets shorter.
private func isShortenedFirst(_ picture: Pixels, _ place: Placement) -> Bool {
    picture.height > place.height && picture.height - place.height > 2 * (picture.width - place.width)
}

/// Whether resampling a side to its own size leaves it as it is.
private func isWhole(_ start: Double, _ end: Double, _ size: Int, _ side: Int) -> Bool {
    size == side && Float(start) == 0 && Float(end) == Float(side)
}

private func cut(_ picture: Pixels, columns: Range<Int>, rows: Range<Int>) -> Pixels {
    let channels = picture.channels
    var values: [UInt8] = []
    values.reserveCapacity(rows.count * columns.count * channels)
    for row in rows {
        let start = (row * picture.width + columns.lowerBound) * channels
        values.append(contentsOf: picture.values[start..<(start + columns.count * channels)])
    }
    return Pixels(height: rows.count, width: columns.count, channels: channels, values: values)
}

private let half = Int32(1) << (Weights.fractionBits - 1)

/// Of a sum of pixels times weights.
@inline(__always)
private func pixel(_ sum: Int32) -> UInt8 {
    UInt8(truncatingIfNeeded: max(0, min(255, sum >> Weights.fractionBits)))
}

/// Every row of some, narrower: one channel at a time, so that the pixels that are added up lie side by side.
private func weighAcross(_ picture: Pixels, _ weights: Weights, rows: Range<Int>) -> Pixels {
    let width = weights.firsts.count
    let channels = picture.channels
    let count = rows.count * width * channels
    var plane = [Int16](repeating: 0, count: picture.width + weights.stride)  // zeros at its end, for the zeros behind the weights
    let values = [UInt8](unsafeUninitializedCapacity: count) { target, filled in
        for (place, row) in rows.enumerated() {
            for channel in 0..<channels {
                copy(picture.values, row * picture.width * channels + channel, every: channels, picture.width, to: &plane)
                weighRow(plane, weights, to: target.baseAddress! + place * width * channels + channel, every: channels)
            }
        }
        filled = count
    }
    return Pixels(height: rows.count, width: width, channels: channels, values: values)
}

/// One channel of a row.
private func copy(
    _ source: UnsafePointer<UInt8>, _ start: Int, every step: Int, _ count: Int, to target: UnsafeMutablePointer<Int16>
) {
    let source = source + start
    for place in 0..<count {
        target[place] = Int16(source[place &* step])
    }
}

private func weighRow(
    _ pixels: UnsafePointer<Int16>, _ weights: Weights, to target: UnsafeMutablePointer<UInt8>, every step: Int
) {
    var target = target
    for (column, first) in weights.firsts.enumerated() {
        target.pointee = pixel(sum(pixels + first, weights.lows, weights.highs, column * weights.stride, weights.stride))
        target += step
    }
}

/// Half, and pixels times weights: processors multiply eight numbers of 16 bits at a time and add up the products.
@inline(__always)
private func sum(
    _ pixels: UnsafePointer<Int16>, _ lows: UnsafePointer<Int16>, _ highs: UnsafePointer<Int16>, _ start: Int, _ count: Int
) -> Int32 {
    typealias Lanes = Weights.Lanes
    typealias Sums = SIMD8<Int32>
    let (pixels, lows, highs) = (UnsafeRawPointer(pixels), UnsafeRawPointer(lows + start), UnsafeRawPointer(highs + start))
    var (low, high) = (Sums.zero, Sums.zero)
    for step in 0..<(count / Lanes.scalarCount) {
        let offset = step &* MemoryLayout<Lanes>.size
        let eight = Sums(truncatingIfNeeded: pixels.loadUnaligned(fromByteOffset: offset, as: Lanes.self))
        low &+= eight &* Sums(truncatingIfNeeded: lows.loadUnaligned(fromByteOffset: offset, as: Lanes.self))
        high &+= eight &* Sums(truncatingIfNeeded: highs.loadUnaligned(fromByteOffset: offset, as: Lanes.self))
    }
    return half &+ low.wrappedSum() &+ high.wrappedSum() &<< Weights.lowBits
}

/// Fewer rows, each a weighted sum of rows; the first of them is `firstRow` of the picture.
private func weighDown(_ picture: Pixels, _ weights: Weights, firstRow: Int) -> Pixels {
    let height = weights.firsts.count
    let length = picture.width * picture.channels
    let count = height * length
    var sums = [Int32](repeating: 0, count: length)
    let values = [UInt8](unsafeUninitializedCapacity: count) { target, filled in
        picture.values.withUnsafeBufferPointer { source in
            sums.withUnsafeMutableBufferPointer { sums in
                for row in 0..<height {
                    sums.update(repeating: half)
                    for place in 0..<weights.counts[row] {
                        let weight = weights.values[row * weights.stride + place]
                        let line = source.baseAddress! + (weights.firsts[row] - firstRow + place) * length
                        for index in 0..<length {
                            sums[index] &+= Int32(line[index]) &* weight
                        }
                    }
                    for index in 0..<length {
                        target[row * length + index] = pixel(sums[index])
                    }
                }
            }
        }
        filled = count
    }
    return Pixels(height: height, width: picture.width, channels: picture.channels, values: values)
}
