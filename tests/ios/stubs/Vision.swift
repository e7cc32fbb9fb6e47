// The part of Apple's module that the sample uses, with its signatures and no code: on Linux the compiler checks the sample against it.
import CoreML
import CoreVideo
import Foundation

public class VNCoreMLModel: NSObject {
    public init(for model: MLModel) throws {}
}

public class VNRequest: NSObject {
    public var results: [VNObservation]? { fatalError() }
}

public enum VNImageCropAndScaleOption: UInt, Sendable {
    case centerCrop, scaleFit, scaleFill, scaleFitRotate90CCW, scaleFillRotate90CCW
}

public class VNCoreMLRequest: VNRequest {
    public convenience init(model: VNCoreMLModel) { fatalError() }
    public var imageCropAndScaleOption: VNImageCropAndScaleOption { get { fatalError() } set {} }
}

public class VNObservation: NSObject {}

public class VNClassificationObservation: VNObservation {
    public var identifier: String { fatalError() }
    public var confidence: Float { fatalError() }
}

public struct VNImageOption: Hashable, Sendable {}

public class VNImageRequestHandler: NSObject {
    public convenience init(cvPixelBuffer pixelBuffer: CVPixelBuffer, options: [VNImageOption: Any] = [:]) { fatalError() }
    public func perform(_ requests: [VNRequest]) throws {}
}
