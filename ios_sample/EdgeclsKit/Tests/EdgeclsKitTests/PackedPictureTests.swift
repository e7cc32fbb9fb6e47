import EdgeclsKit
import XCTest

/// Pictures as ImageIO and cameras hand them over.
final class PackedPictureTests: XCTestCase {
    func testBytesThatAreNoColourAreLeftOut() {
        let bytes: [UInt8] = [3, 2, 1, 255, 6, 5, 4, 0, 99, 99, 9, 8, 7, 255, 12, 11, 10, 255]  // BGRA, rows of 10 bytes
        let packed = PackedPicture(height: 2, width: 2, bytesPerRow: 10, bytesPerPixel: 4, offsets: [2, 1, 0])
        let pixels = bytes.withUnsafeBytes { packed.pixels($0) }
        XCTAssertEqual(pixels.values, Array(1...12))
    }

    func testSixteenBitsBecomeEightAsInPython() {
        let bytes: [UInt8] = [0x7F, 0xFF, 0x80, 0x80, 0xFF, 0xFF]
        let gray = PackedPicture(height: 1, width: 3, bytesPerRow: 6, bytesPerPixel: 2, offsets: [0], bytesPerColor: 2)
        XCTAssertEqual(bytes.withUnsafeBytes { gray.pixels($0) }.values, [127, 128, 255])
        var colors = PackedPicture(height: 1, width: 1, bytesPerRow: 6, bytesPerPixel: 6, offsets: [0, 2, 4], bytesPerColor: 2)
        XCTAssertEqual(bytes.withUnsafeBytes { colors.pixels($0) }.values, [0x7F, 0x80, 0xFF])
        colors.isLittleEndian = true
        XCTAssertEqual(bytes.withUnsafeBytes { colors.pixels($0) }.values, [0xFF, 0x80, 0xFF])
    }

    func testEveryOrientationStandsUpright() {
        let picture = Pixels(height: 2, width: 3, channels: 1, values: [1, 2, 3, 4, 5, 6])
        let expected: [Int: [UInt8]] = [  // as Pillow's ImageOps.exif_transpose
            1: [1, 2, 3, 4, 5, 6], 2: [3, 2, 1, 6, 5, 4], 3: [6, 5, 4, 3, 2, 1], 4: [4, 5, 6, 1, 2, 3],
            5: [1, 4, 2, 5, 3, 6], 6: [4, 1, 5, 2, 6, 3], 7: [6, 3, 5, 2, 4, 1], 8: [3, 6, 2, 5, 1, 4],
        ]
        for (orientation, values) in expected {
            let upright = picture.upright(orientation: orientation)
            XCTAssertEqual(upright.values, values, "orientation \(orientation)")
            XCTAssertEqual(upright.width, orientation < 5 ? 3 : 2)
        }
    }
}
