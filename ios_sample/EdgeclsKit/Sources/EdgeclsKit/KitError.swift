import Foundation

/// What went wrong, as a sentence for the screen.
public struct KitError: LocalizedError, Equatable {
    public let sentence: String

    public init(_ sentence: String) {
        self.sentence = sentence
    }

    public var errorDescription: String? { sentence }
}
