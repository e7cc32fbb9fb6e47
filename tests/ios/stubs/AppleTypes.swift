// Types of Core Foundation that Linux does not show, as far as the sample uses them; the other stand-ins hand them on.
import Foundation

public final class CFString: Hashable {
    public static func == (one: CFString, other: CFString) -> Bool { fatalError() }
    public func hash(into hasher: inout Hasher) {}
}

public final class CFDictionary: ExpressibleByDictionaryLiteral {
    public init(dictionaryLiteral elements: (CFString, Any)...) {}
}

public typealias CFData = Data
public final class CFAllocator {}
public nonisolated(unsafe) let kCFAllocatorDefault: CFAllocator! = nil
public typealias OSType = UInt32
