import CoreGraphics
import EdgeclsKit
import Foundation
import ImageIO

/// Picture files to pixels, with the numbers that libraries on the host read.
enum PictureFile {
    /// - Returns: the picture, upright.
    /// - Throws: `KitError`: not a picture.
    static func pixels(of data: Data) throws -> Pixels {
        guard let source = CGImageSourceCreateWithData(data as CFData, nil), let image = CGImageSourceCreateImageAtIndex(source, 0, nil)
        else { throw KitError("This is not a picture, or it is damaged.") }
        let properties = CGImageSourceCopyPropertiesAtIndex(source, 0, nil) as? [CFString: Any]
        let orientation = properties?[kCGImagePropertyOrientation] as? Int ?? 1
        return try pixels(of: image).upright(orientation: orientation)
    }

    private static func pixels(of image: CGImage) throws -> Pixels {
        guard let packing = packing(of: image), let bytes = image.dataProvider?.data as Data? else { return try drawn(image) }
        return bytes.withUnsafeBytes { packing.pixels($0) }
    }

    /// How the decoder packed colours that are as they stand in the file; nil where it did not leave them so.
    ///
    /// Drawing would convert the picture's colour profile, which the host ignores, and multiply colours by alpha, which the host drops.
    private static func packing(of image: CGImage) -> PackedPicture? {
        let channels: Int
        switch image.colorSpace?.model {
        case .monochrome: channels = 1
        case .rgb: channels = 3
        default: return nil
        }
        let bytesPerColor = image.bitsPerComponent / 8
        let order = image.bitmapInfo.intersection(.byteOrderMask)
        let alphaFirst = [.first, .noneSkipFirst].contains(image.alphaInfo)
        let isPlain = !image.bitmapInfo.contains(.floatComponents) && ![.premultipliedFirst, .premultipliedLast].contains(image.alphaInfo)
        guard isPlain, [8, 16].contains(image.bitsPerComponent), image.bitsPerPixel % 8 == 0 else { return nil }
        let bytesPerPixel = image.bitsPerPixel / 8
        var offsets = (0..<channels).map { ($0 + (alphaFirst ? 1 : 0)) * bytesPerColor }
        if order == .byteOrder32Little && bytesPerColor == 1 {
            offsets = offsets.map { bytesPerPixel - 1 - $0 }  // the last byte of each pixel comes first
        }
        return PackedPicture(
            height: image.height, width: image.width, bytesPerRow: image.bytesPerRow, bytesPerPixel: bytesPerPixel,
            offsets: offsets, bytesPerColor: bytesPerColor, isLittleEndian: order == .byteOrder16Little
        )
    }

    /// Palettes, inks and the like: drawn in their own colours where they have a table of them, else converted by the system.
    private static func drawn(_ image: CGImage) throws -> Pixels {
        let base = image.colorSpace?.baseColorSpace
        let space = base?.model == .rgb ? base : nil
        let (width, height) = (image.width, image.height)
        let info = CGImageAlphaInfo.noneSkipLast.rawValue
        guard
            let context = CGContext(
                data: nil, width: width, height: height, bitsPerComponent: 8, bytesPerRow: 4 * width,
                space: space ?? CGColorSpaceCreateDeviceRGB(), bitmapInfo: info
            )
        else { throw KitError("There is no memory for a picture of \(width) x \(height).") }
        context.draw(image, in: CGRect(x: 0, y: 0, width: width, height: height))
        guard let data = context.data else { throw KitError("The picture could not be drawn.") }
        let packing = PackedPicture(height: height, width: width, bytesPerRow: context.bytesPerRow, bytesPerPixel: 4, offsets: [0, 1, 2])
        return packing.pixels(UnsafeRawBufferPointer(start: data, count: context.bytesPerRow * height))
    }
}
