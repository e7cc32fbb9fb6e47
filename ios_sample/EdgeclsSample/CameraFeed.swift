import AVFoundation
import EdgeclsKit

/// Frames of the back camera as pictures, upright; those that come while one is looked at are dropped.
final class CameraFeed: NSObject, AVCaptureVideoDataOutputSampleBufferDelegate {
    let session = AVCaptureSession()
    /// Is called on the camera's queue.
    var onPicture: (Pixels) -> Void = { _ in }

    private let queue = DispatchQueue(label: "camera")
    private var rotation: AVCaptureDevice.RotationCoordinator?

    /// Ask for permission, and start.
    ///
    /// - Throws: `KitError`: there is no camera, or it may not be used.
    func start() async throws {
        guard await AVCaptureDevice.requestAccess(for: .video) else {
            throw KitError("The camera may not be used: allow it in Settings › Privacy & Security › Camera, or choose a photo.")
        }
        if session.inputs.isEmpty { try configure() }
        queue.async { self.session.startRunning() }
    }

    func stop() {
        queue.async { self.session.stopRunning() }
    }

    private func configure() throws {
        guard let camera = AVCaptureDevice.default(.builtInWideAngleCamera, for: .video, position: .back),
            let input = try? AVCaptureDeviceInput(device: camera)
        else { throw KitError("This device has no camera that an app can use: choose a photo.") }
        let output = AVCaptureVideoDataOutput()
        output.videoSettings = [kCVPixelBufferPixelFormatTypeKey as String: kCVPixelFormatType_32BGRA]
        output.alwaysDiscardsLateVideoFrames = true
        output.setSampleBufferDelegate(self, queue: queue)
        session.beginConfiguration()
        defer { session.commitConfiguration() }
        guard session.canAddInput(input), session.canAddOutput(output) else { throw KitError("The camera gives no pictures here.") }
        session.addInput(input)
        session.addOutput(output)
        rotation = AVCaptureDevice.RotationCoordinator(device: camera, previewLayer: nil)
    }

    func captureOutput(_ output: AVCaptureOutput, didOutput sampleBuffer: CMSampleBuffer, from connection: AVCaptureConnection) {
        let angle = rotation?.videoRotationAngleForHorizonLevelCapture ?? 0
        if connection.videoRotationAngle != angle, connection.isVideoRotationAngleSupported(angle) {
            connection.videoRotationAngle = angle  // from the next frame on
            return
        }
        guard let buffer = CMSampleBufferGetImageBuffer(sampleBuffer) else { return }
        CVPixelBufferLockBaseAddress(buffer, .readOnly)
        defer { CVPixelBufferUnlockBaseAddress(buffer, .readOnly) }
        guard let base = CVPixelBufferGetBaseAddress(buffer) else { return }
        let (height, bytesPerRow) = (CVPixelBufferGetHeight(buffer), CVPixelBufferGetBytesPerRow(buffer))
        let packing = PackedPicture(
            height: height, width: CVPixelBufferGetWidth(buffer), bytesPerRow: bytesPerRow, bytesPerPixel: 4, offsets: [2, 1, 0]
        )
        onPicture(packing.pixels(UnsafeRawBufferPointer(start: base, count: bytesPerRow * height)))
    }
}
