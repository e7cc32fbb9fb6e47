import EdgeclsKit
import Foundation

/// What the classifying screen shows and what was chosen on it.
@MainActor
final class Classification: ObservableObject {
    @Published var artifactName: String
    @Published var units = ComputeUnits.all
    @Published var asksVision = false
    @Published private(set) var answer: Answer?
    @Published private(set) var sentence: String?
    @Published private(set) var cameraIsOn = false

    let artifacts: [Contract.Artifact]
    let camera = CameraFeed()

    private let desk: InferenceDesk
    private var picture: Pixels?
    private var isBusy = false

    init(folder: ModelFolder) {
        artifacts = folder.artifacts
        artifactName = folder.artifacts[0].name
        desk = InferenceDesk(folder: folder)
        camera.onPicture = { [weak self] picture in
            Task { @MainActor in await self?.classifyFrame(picture) }
        }
    }

    func startCamera() async {
        do {
            try await camera.start()
            (cameraIsOn, sentence) = (true, nil)
        } catch {
            sentence = error.localizedDescription
        }
    }

    func stopCamera() {
        camera.stop()
        cameraIsOn = false
    }

    /// A photo that was picked.
    func classify(file: Data?) async {
        stopCamera()
        guard let file else {
            sentence = "The photo could not be loaded: choose another one."
            return
        }
        do {
            picture = try await Task.detached { try PictureFile.pixels(of: file) }.value
        } catch {
            (answer, sentence) = (nil, error.localizedDescription)
            return
        }
        await classifyAgain()
    }

    /// The same picture, after something else was chosen.
    func classifyAgain() async {
        guard let picture, let artifact = artifacts.first(where: { $0.name == artifactName }) else { return }
        do {
            answer = try await desk.classify(picture, with: artifact, on: units, askVision: asksVision)
            sentence = nil
        } catch {
            (answer, sentence) = (nil, error.localizedDescription)
        }
    }

    private func classifyFrame(_ frame: Pixels) async {
        guard cameraIsOn, !isBusy else { return }
        isBusy = true
        picture = frame
        await classifyAgain()
        isBusy = false
    }
}
