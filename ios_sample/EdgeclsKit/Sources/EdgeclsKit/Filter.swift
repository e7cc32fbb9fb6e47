import Foundation

/// How pixels between pixels are computed, each as the library does it that people train with.
public enum Filter: String, Codable, CaseIterable, Sendable {
    case nearest
    /// Without antialiasing: `tf.image.resize`'s default.
    case bilinear
    case bilinearAntialiased = "bilinear-antialiased"
    case bicubic
    case lanczos

    /// Whether a crop has to be of whole pixels.
    var takesWholePixels: Bool { kernel == nil }

    /// What weighs pixels by their distance; nil where a filter takes them by their place.
    var kernel: Kernel? {
        switch self {
        case .nearest, .bilinear: nil
        case .bilinearAntialiased: Kernel(support: 1) { max(0, 1 - abs($0)) }
        case .bicubic: Kernel(support: 2, weight: cubic)
        case .lanczos: Kernel(support: 3) { -3 <= $0 && $0 < 3 ? sinc($0) * sinc($0 / 3) : 0 }
        }
    }
}

/// A filter's weight at a distance in pixels of the smaller picture; none beyond its support.
struct Kernel {
    let support: Double
    let weight: (Double) -> Double
}

/// Keys' cubic convolution with a = -0.5, in the order in which Pillow computes it.
private func cubic(_ distance: Double) -> Double {
    let a = -0.5
    let x = abs(distance)
    if x < 1 { return ((a + 2) * x - (a + 3)) * x * x + 1 }
    return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0
}

private func sinc(_ x: Double) -> Double {
    x == 0 ? 1 : sin(x * .pi) / (x * .pi)
}
