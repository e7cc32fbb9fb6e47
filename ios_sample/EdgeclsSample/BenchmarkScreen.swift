import EdgeclsKit
import SwiftUI

/// Measures every embedded artifact on the chosen compute units.
struct BenchmarkScreen: View {
    let folder: ModelFolder
    @StateObject private var benchmark = RunningBenchmark()
    @State private var units: Set<ComputeUnits> = [.all]

    var body: some View {
        NavigationStack {
            Form {
                Section("Compute units") {
                    ForEach(ComputeUnits.allCases) { unit in
                        Toggle(unit.rawValue, isOn: isChosen(unit)).disabled(benchmark.isRunning)
                    }
                }
                Section { control }
                if let sentence = benchmark.sentence {
                    Section { Sentence(sentence) }
                }
                if let results = benchmark.results {
                    Section("Median of an inference") {
                        ForEach(results.measurements, id: \.artifact) { MeasurementRow(measurement: $0) }
                    }
                    if !results.notes.isEmpty {
                        Section("Beside the host") {
                            ForEach(results.notes, id: \.self) { Text($0) }
                        }
                    }
                }
            }
            .navigationTitle("Benchmark")
        }
    }

    @ViewBuilder private var control: some View {
        if benchmark.isRunning {
            ProgressView("Measuring", value: benchmark.progress)
            Button("Stop", systemImage: "stop.fill", role: .cancel) { benchmark.stop() }
        } else {
            Button("Start", systemImage: "play.fill") { benchmark.start(folder, ComputeUnits.allCases.filter(units.contains)) }
                .disabled(units.isEmpty)
        }
        if let file = benchmark.file {
            ShareLink("Share results.json", item: file)
        }
    }

    private func isChosen(_ unit: ComputeUnits) -> Binding<Bool> {
        Binding {
            units.contains(unit)
        } set: { chosen in
            if chosen { units.insert(unit) } else { units.remove(unit) }
        }
    }
}

/// One artifact's time, or why there is none.
private struct MeasurementRow: View {
    let measurement: MeasuredArtifact

    var body: some View {
        VStack(alignment: .leading) {
            LabeledContent(measurement.artifact, value: time)
            ForEach(doubts, id: \.self) { doubt in
                Text(doubt).font(.footnote).foregroundStyle(.secondary)
            }
        }
        .accessibilityElement(children: .combine)
    }

    private var time: String {
        measurement.latency.map { String(format: "%.2f ms", $0.p50Ms) } ?? "not measured"
    }

    private var doubts: [String] {
        measurement.latency?.validity.reasons.map(\.text) ?? [measurement.reason]
    }
}

/// A benchmark in the background.
@MainActor
final class RunningBenchmark: ObservableObject {
    @Published private(set) var progress = 0.0
    @Published private(set) var isRunning = false
    @Published private(set) var results: Results?
    @Published private(set) var file: URL?
    @Published private(set) var sentence: String?

    private var task: Task<Void, Never>?

    func start(_ folder: ModelFolder, _ units: [ComputeUnits]) {
        (progress, isRunning, results, file, sentence) = (0, true, nil, nil, nil)
        let work = Task.detached(priority: .userInitiated) {
            try BenchmarkRun(folder: folder, units: units).results { share in
                Task { @MainActor in self.progress = share }
            } isCancelled: {
                Task.isCancelled
            }
        }
        task = Task {
            do {
                let found = try await withTaskCancellationHandler {
                    try await work.value
                } onCancel: {
                    work.cancel()
                }
                (results, file) = (found, try BenchmarkRun.write(found))
            } catch is CancellationError {
                sentence = "Stopped."
            } catch {
                sentence = error.localizedDescription
            }
            isRunning = false
        }
    }

    func stop() {
        task?.cancel()
    }
}

/// Measures at once, prints where results.json lies, and ends the app: 0, or 1 with a sentence.
struct HeadlessBenchmark: View {
    let folder: ModelFolder

    var body: some View {
        ProgressView("Measuring")
            .task {
                do {
                    let run = BenchmarkRun(folder: folder, units: [.all])
                    let work = Task.detached { try run.results(progress: { _ in }, isCancelled: { false }) }
                    print(try BenchmarkRun.write(await work.value).path)
                    exit(0)
                } catch {
                    print(error.localizedDescription)
                    exit(1)
                }
            }
    }
}
