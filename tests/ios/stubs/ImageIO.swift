// The part of Apple's module that the sample uses, with its signatures and no code: on Linux the compiler checks the sample against it.
@_exported import AppleTypes
import CoreGraphics
import Foundation

public final class CGImageSource {}

public nonisolated(unsafe) let kCGImagePropertyOrientation: CFString! = nil

public func CGImageSourceCreateWithData(_ data: CFData, _ options: CFDictionary?) -> CGImageSource? { fatalError() }
public func CGImageSourceCreateImageAtIndex(_ source: CGImageSource, _ index: Int, _ options: CFDictionary?) -> CGImage? { fatalError() }
public func CGImageSourceCopyPropertiesAtIndex(_ source: CGImageSource, _ index: Int, _ options: CFDictionary?) -> CFDictionary? { fatalError() }
