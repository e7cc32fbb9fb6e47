import Foundation

/// Where tests leave what others judge: the folder that TEST_OUTPUT names, else a temporary one.
enum TestOutput {
    static let folder =
        ProcessInfo.processInfo.environment["TEST_OUTPUT"].map { URL(fileURLWithPath: $0) } ?? FileManager.default.temporaryDirectory

    static func write(_ data: Data, to name: String) throws {
        try data.write(to: folder.appendingPathComponent(name))
    }
}
