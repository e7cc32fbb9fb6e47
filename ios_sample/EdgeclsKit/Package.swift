// swift-tools-version: 6.0
import PackageDescription

let package = Package(
    name: "EdgeclsKit",
    platforms: [.iOS(.v16), .macOS(.v13)],
    products: [.library(name: "EdgeclsKit", targets: ["EdgeclsKit"])],
    targets: [
        .target(name: "EdgeclsKit"),
        .testTarget(name: "EdgeclsKitTests", dependencies: ["EdgeclsKit"], exclude: ["contract.json", "golden.json"]),
    ]
)
