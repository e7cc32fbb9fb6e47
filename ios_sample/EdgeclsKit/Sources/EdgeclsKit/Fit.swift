/// How a picture of any size comes to the model's.
public enum Fit: String, Codable, Sendable {
    /// The whole picture, whatever becomes of its aspect.
    case squeeze
    /// The largest centred part of the model's aspect, or with a share, the centre of the picture resized by its short side.
    case crop
    /// The whole picture with its aspect, and bars of a colour.
    case pad
}

/// A part of the picture, in its pixels.
struct Box: Equatable {
    var left: Double
    var top: Double
    var right: Double
    var bottom: Double
}

/// A box of the picture is resampled to `width` x `height`, whose top left corner lies at (`x`, `y`) of what enters the model.
struct Placement: Equatable {
    var box: Box
    var width: Int
    var height: Int
    var x = 0
    var y = 0
}

/// Where a picture goes in what enters the model.
///
/// - Parameters:
///   - size: of the picture.
///   - spec: size of the model, fit, share and filter.
func placement(of size: (width: Int, height: Int), in spec: ImageSpec) -> Placement {
    let whole = Box(left: 0, top: 0, right: Double(size.width), bottom: Double(size.height))
    switch (spec.fit, spec.cropShare) {
    case (.squeeze, _):
        return Placement(box: whole, width: spec.width, height: spec.height)
    case (.crop, nil):
        let box = spec.filter.takesWholePixels ? wholePixelCrop(size, spec) : centredCrop(size, spec)
        return Placement(box: box, width: spec.width, height: spec.height)
    case (.crop, let share?):
        let (width, height) = sizeAroundCrop(size, spec, share)
        let x = (Double(width - spec.width) / 2).rounded(.toNearestOrEven)
        let y = (Double(height - spec.height) / 2).rounded(.toNearestOrEven)
        return Placement(box: whole, width: width, height: height, x: -Int(x), y: -Int(y))
    case (.pad, _):
        let (width, height) = containedSize(size, spec)
        let x = (Double(spec.width - width) * 0.5).rounded(.toNearestOrEven)
        let y = (Double(spec.height - height) * 0.5).rounded(.toNearestOrEven)
        return Placement(box: whole, width: width, height: height, x: Int(x), y: Int(y))
    }
}

/// As Keras' `smart_resize` cuts.
private func wholePixelCrop(_ size: (width: Int, height: Int), _ spec: ImageSpec) -> Box {
    let width = max(1, min(size.width, Int(Double(size.height * spec.width) / Double(spec.height))))
    let height = max(1, min(size.height, Int(Double(size.width * spec.height) / Double(spec.width))))
    let left = Double((size.width - width) / 2)
    let top = Double((size.height - height) / 2)
    return Box(left: left, top: top, right: left + Double(width), bottom: top + Double(height))
}

/// As Pillow's `ImageOps.fit` cuts.
private func centredCrop(_ size: (width: Int, height: Int), _ spec: ImageSpec) -> Box {
    let aspect = Double(spec.width) / Double(spec.height)
    var width = Double(size.width)
    var height = Double(size.height)
    if width / height > aspect {
        width = aspect * height
    } else if width / height < aspect {
        height = width / aspect
    }
    let left = (Double(size.width) - width) * 0.5
    let top = (Double(size.height) - height) * 0.5
    return Box(left: left, top: top, right: left + width, bottom: top + height)
}

/// The size of the whole picture of which the model sees the centre: torchvision's `Resize(round(side / share))`.
private func sizeAroundCrop(_ size: (width: Int, height: Int), _ spec: ImageSpec, _ share: Double) -> (width: Int, height: Int) {
    let wide = Int((Double(spec.width) / share).rounded(.toNearestOrEven))
    let high = Int((Double(spec.height) / share).rounded(.toNearestOrEven))
    if Double(wide) / Double(size.width) >= Double(high) / Double(size.height) {
        return (wide, max(spec.height, Int(Double(wide * size.height) / Double(size.width))))
    }
    return (max(spec.width, Int(Double(high * size.width) / Double(size.height))), high)
}

/// As Pillow's `ImageOps.contain` resizes.
private func containedSize(_ size: (width: Int, height: Int), _ spec: ImageSpec) -> (width: Int, height: Int) {
    let (width, height) = (Double(size.width), Double(size.height))
    let aspect = Double(spec.width) / Double(spec.height)
    if width / height > aspect {
        return (spec.width, max(1, Int((height / width * Double(spec.width)).rounded(.toNearestOrEven))))
    }
    if width / height < aspect {
        return (max(1, Int((width / height * Double(spec.height)).rounded(.toNearestOrEven))), spec.height)
    }
    return (spec.width, spec.height)
}
