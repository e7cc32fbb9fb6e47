import EdgeclsKit
import PhotosUI
import SwiftUI

/// Camera or photo, the best three classes, and what classifies.
struct ClassifyScreen: View {
    @StateObject private var classification: Classification
    @State private var photo: PhotosPickerItem?

    init(folder: ModelFolder) {
        _classification = StateObject(wrappedValue: Classification(folder: folder))
    }

    var body: some View {
        NavigationStack {
            Form {
                Section { source }
                if let sentence = classification.sentence {
                    Section { Sentence(sentence) }
                }
                if let answer = classification.answer {
                    Section {
                        Bars(predictions: answer.predictions)
                    } header: {
                        Text("Inference: \(answer.milliseconds, specifier: "%.2f") ms")
                    }
                    if let byVision = answer.byVision {
                        Section("With Vision's scaling") {
                            switch byVision {
                            case .success(let predictions): Bars(predictions: predictions)
                            case .failure(let error): Sentence(error.localizedDescription)
                            }
                        }
                    }
                }
                Section("Model") { choices }
            }
            .navigationTitle("Classify")
        }
        .onChange(of: photo) { _, item in
            guard let item else { return }
            Task { await classification.classify(file: try? await item.loadTransferable(type: Data.self)) }
        }
        .onDisappear { classification.stopCamera() }
    }

    @ViewBuilder private var source: some View {
        if classification.cameraIsOn {
            CameraPreview(session: classification.camera.session)
                .aspectRatio(1, contentMode: .fit)
                .listRowInsets(EdgeInsets())
            Button("Stop camera", systemImage: "stop.fill") { classification.stopCamera() }
        } else {
            Button("Use camera", systemImage: "camera") { Task { await classification.startCamera() } }
        }
        PhotosPicker(selection: $photo, matching: .images) {
            Label("Choose a photo", systemImage: "photo")
        }
    }

    @ViewBuilder private var choices: some View {
        Picker("Artifact", selection: $classification.artifactName) {
            ForEach(classification.artifacts, id: \.name) { Text($0.name).tag($0.name) }
        }
        Picker("Compute units", selection: $classification.units) {
            ForEach(ComputeUnits.allCases) { Text($0.rawValue).tag($0) }
        }
        Toggle("Compare with Vision's scaling", isOn: $classification.asksVision)
            .onChange(of: classification.asksVision) { again() }
            .onChange(of: classification.units) { again() }
            .onChange(of: classification.artifactName) { again() }
    }

    private func again() {
        Task { await classification.classifyAgain() }
    }
}

/// Classes with their probabilities.
struct Bars: View {
    let predictions: [Prediction]

    var body: some View {
        ForEach(predictions, id: \.index) { prediction in
            let percent = prediction.probability.formatted(.percent.precision(.fractionLength(1)))
            VStack(alignment: .leading) {
                HStack {
                    Text(prediction.label)
                    Spacer()
                    Text(percent).monospacedDigit()
                }
                ProgressView(value: min(1, max(0, prediction.probability)))
            }
            .accessibilityElement(children: .ignore)
            .accessibilityLabel("\(prediction.label), \(percent)")
        }
    }
}
