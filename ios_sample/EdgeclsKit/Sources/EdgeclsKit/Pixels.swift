/// A picture of eight bits a channel: rows of pixels, red, green and blue, or grey alone.
public struct Pixels: Equatable, Sendable {
    public let height: Int
    public let width: Int
    public let channels: Int
    public let values: [UInt8]

    /// - Precondition: one or three channels, no side of 0, and as many values as that makes.
    public init(height: Int, width: Int, channels: Int, values: [UInt8]) {
        precondition(channels == 1 || channels == 3, "a picture has one channel or three")
        precondition(height > 0 && width > 0 && values.count == height * width * channels, "not this size of picture")
        self.height = height
        self.width = width
        self.channels = channels
        self.values = values
    }

    /// The same picture grey or in colours.
    public func converted(toChannels wanted: Int) -> Pixels {
        if wanted == channels { return self }
        let values: [UInt8]
        if wanted == 1 {
            values = stride(from: 0, to: self.values.count, by: 3).map { start in
                luma(red: self.values[start], green: self.values[start + 1], blue: self.values[start + 2])
            }
        } else {
            values = self.values.flatMap { [$0, $0, $0] }
        }
        return Pixels(height: height, width: width, channels: wanted, values: values)
    }
}

/// Brightness of a colour after ITU-R 601, in 16-bit fixed point as Pillow's `convert("L")` computes it.
func luma(red: UInt8, green: UInt8, blue: UInt8) -> UInt8 {
    UInt8((UInt32(red) * 19595 + UInt32(green) * 38470 + UInt32(blue) * 7471 + 0x8000) >> 16)
}
