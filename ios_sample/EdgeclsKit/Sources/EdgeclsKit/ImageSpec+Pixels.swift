extension ImageSpec {
    /// The exact pixels that enter the model, [height, width, channels], before colour order and normalisation.
    ///
    /// - Parameter picture: upright, of any size, in colours or grey.
    public func pixels(of picture: Pixels) -> Pixels {
        let picture = picture.converted(toChannels: channels)
        let place = placement(of: (picture.width, picture.height), in: self)
        let columns = max(0, place.x)..<min(width, place.x + place.width)
        let rows = max(0, place.y)..<min(height, place.y + place.height)
        let part = resample(
            picture, place, filter,
            columns: (columns.lowerBound - place.x)..<(columns.upperBound - place.x),
            rows: (rows.lowerBound - place.y)..<(rows.upperBound - place.y)
        )
        if part.width == width && part.height == height { return part }
        return framed(part, x: columns.lowerBound, y: rows.lowerBound)
    }

    /// The part with bars of the padding colour around it.
    private func framed(_ part: Pixels, x: Int, y: Int) -> Pixels {
        let color = channels == 1 ? [luma(red: padColor[0], green: padColor[1], blue: padColor[2])] : padColor
        var values = Array(repeatElement(color, count: height * width).joined())
        for row in 0..<part.height {
            let start = ((y + row) * width + x) * channels
            let source = row * part.width * channels
            values.replaceSubrange(start..<(start + part.width * channels), with: part.values[source..<(source + part.width * channels)])
        }
        return Pixels(height: height, width: width, channels: channels, values: values)
    }

    /// What enters the model: colour order, `(pixel - mean) / std` in float32, and the order of axes that it wants, batch apart.
    ///
    /// - Precondition: pixels of the model's size and channels.
    public func input(of pixels: Pixels) -> [Float] {
        precondition(pixels.height == height && pixels.width == width && pixels.channels == channels, "not the model's size")
        let mean = perChannel(mean)
        let std = perChannel(std)
        let area = height * width
        var input = [Float](repeating: 0, count: pixels.values.count)
        for channel in 0..<channels {
            let source = colorOrder == .bgr ? channels - 1 - channel : channel
            for pixel in 0..<area {
                let place = layout == .chw ? channel * area + pixel : pixel * channels + channel
                input[place] = (Float(pixels.values[pixel * channels + source]) - mean[channel]) / std[channel]
            }
        }
        return input
    }

    private func perChannel(_ values: [Double]) -> [Float] {
        (0..<channels).map { Float(values[values.count == 1 ? 0 : $0]) }
    }
}
