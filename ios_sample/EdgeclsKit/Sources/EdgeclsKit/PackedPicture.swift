/// A decoded picture as a system hands it over: rows of packed pixels, with bytes that are no colour.
///
/// Its numbers are taken as they are. Drawing it anew would convert its colour profile and multiply colours by alpha, and the model would
/// see other numbers than it was trained with, by libraries that do neither.
public struct PackedPicture {
    public var height: Int
    public var width: Int
    public var bytesPerRow: Int
    public var bytesPerPixel: Int
    /// Where in a pixel each colour begins: red, green and blue, or grey.
    public var offsets: [Int]
    /// 1, or 2 for colours of 16 bits.
    public var bytesPerColor: Int
    /// Of colours of 16 bits.
    public var isLittleEndian: Bool

    public init(
        height: Int, width: Int, bytesPerRow: Int, bytesPerPixel: Int, offsets: [Int], bytesPerColor: Int = 1, isLittleEndian: Bool = false
    ) {
        (self.height, self.width, self.bytesPerRow, self.bytesPerPixel) = (height, width, bytesPerRow, bytesPerPixel)
        (self.offsets, self.bytesPerColor, self.isLittleEndian) = (offsets, bytesPerColor, isLittleEndian)
    }

    /// - Precondition: as many bytes as that needs.
    public func pixels(_ bytes: UnsafeRawBufferPointer) -> Pixels {
        let needed = (height - 1) * bytesPerRow + width * bytesPerPixel
        precondition(bytes.count >= needed, "fewer bytes than pixels")
        let channels = offsets.count
        let values = [UInt8](unsafeUninitializedCapacity: height * width * channels) { target, filled in
            for channel in 0..<channels {
                var place = channel
                for row in 0..<height {
                    var start = row * bytesPerRow + offsets[channel]
                    for _ in 0..<width {
                        target[place] = bytesPerColor == 1 ? bytes[start] : eightBits(bytes, start)
                        place += channels
                        start += bytesPerPixel
                    }
                }
            }
            filled = height * width * channels
        }
        return Pixels(height: height, width: width, channels: channels, values: values)
    }

    /// As Python's side makes eight bits of sixteen: of colours Pillow keeps the high byte; grey is rounded.
    private func eightBits(_ bytes: UnsafeRawBufferPointer, _ start: Int) -> UInt8 {
        let (high, low) = isLittleEndian ? (bytes[start + 1], bytes[start]) : (bytes[start], bytes[start + 1])
        if offsets.count > 1 { return high }
        return UInt8(((UInt32(high) << 8 | UInt32(low)) * 255 + 32767) / 65535)
    }
}

extension Pixels {
    /// The picture as its EXIF orientation, 1 to 8, says that it stands; another number means as it is.
    public func upright(orientation: Int) -> Pixels {
        guard (2...8).contains(orientation) else { return self }
        let sideways = orientation >= 5
        let (newHeight, newWidth) = sideways ? (width, height) : (height, width)
        let values = [UInt8](unsafeUninitializedCapacity: self.values.count) { target, filled in
            var place = 0
            for y in 0..<newHeight {
                for x in 0..<newWidth {
                    let (row, column) = source(x, y, orientation)
                    for channel in 0..<channels {
                        target[place] = self.values[(row * width + column) * channels + channel]
                        place += 1
                    }
                }
            }
            filled = place
        }
        return Pixels(height: newHeight, width: newWidth, channels: channels, values: values)
    }

    /// Where the pixel comes from that stands at (x, y) of the upright picture.
    private func source(_ x: Int, _ y: Int, _ orientation: Int) -> (row: Int, column: Int) {
        switch orientation {
        case 2: (y, width - 1 - x)
        case 3: (height - 1 - y, width - 1 - x)
        case 4: (height - 1 - y, x)
        case 5: (x, y)
        case 6: (height - 1 - x, y)
        case 7: (height - 1 - x, width - 1 - y)
        default: (x, width - 1 - y)
        }
    }
}
