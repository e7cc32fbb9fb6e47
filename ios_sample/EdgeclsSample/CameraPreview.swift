import AVFoundation
import SwiftUI

/// What the camera sees.
struct CameraPreview: UIViewRepresentable {
    let session: AVCaptureSession

    func makeUIView(context: Context) -> PreviewView {
        let view = PreviewView()
        view.preview.session = session
        view.preview.videoGravity = .resizeAspectFill
        view.isAccessibilityElement = true
        view.accessibilityLabel = "Camera"
        return view
    }

    func updateUIView(_ view: PreviewView, context: Context) {}

    final class PreviewView: UIView {
        private var rotation: AVCaptureDevice.RotationCoordinator?

        override class var layerClass: AnyClass { AVCaptureVideoPreviewLayer.self }

        var preview: AVCaptureVideoPreviewLayer { layer as! AVCaptureVideoPreviewLayer }  // as layerClass says

        override func layoutSubviews() {
            super.layoutSubviews()
            if rotation == nil, let input = preview.session?.inputs.first as? AVCaptureDeviceInput {
                rotation = AVCaptureDevice.RotationCoordinator(device: input.device, previewLayer: preview)
            }
            if let angle = rotation?.videoRotationAngleForHorizonLevelPreview, let connection = preview.connection,
                connection.isVideoRotationAngleSupported(angle)
            {
                connection.videoRotationAngle = angle
            }
        }
    }
}
