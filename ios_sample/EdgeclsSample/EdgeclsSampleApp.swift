import SwiftUI

/// With the launch argument `--bench` it measures without a hand on it: results.json lies in Documents when it ends.
@main
struct EdgeclsSampleApp: App {
    var body: some Scene {
        WindowGroup {
            switch Result(catching: { try ModelFolder() }) {
            case .success(let folder) where ProcessInfo.processInfo.arguments.contains("--bench"):
                HeadlessBenchmark(folder: folder)
            case .success(let folder):
                TabView {
                    ClassifyScreen(folder: folder)
                        .tabItem { Label("Classify", systemImage: "camera.viewfinder") }
                    BenchmarkScreen(folder: folder)
                        .tabItem { Label("Benchmark", systemImage: "stopwatch") }
                }
            case .failure(let error):
                Sentence(error.localizedDescription)
            }
        }
    }
}

/// What went wrong, in the middle of the screen.
struct Sentence: View {
    private let text: String

    init(_ text: String) {
        self.text = text
    }

    var body: some View {
        Label(text, systemImage: "exclamationmark.triangle")
            .multilineTextAlignment(.leading)
            .padding()
    }
}
