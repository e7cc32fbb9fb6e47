/// What an image must look like to enter a model, as `edgecls` declares it.
///
/// Files older than a field mean its default: the whole picture squeezed, bilinear with antialiasing.
public struct ImageSpec: Codable, Equatable, Sendable {
    public enum Layout: String, Codable, Sendable {
        case hwc = "HWC"
        case chw = "CHW"
        case hw = "HW"
        case flat
    }

    public enum ColorOrder: String, Codable, Sendable {
        case rgb = "RGB"
        case bgr = "BGR"
        case gray = "GRAY"
        case other = "OTHER"
    }

    public var height: Int
    public var width: Int
    public var channels: Int
    public var layout: Layout
    public var colorOrder: ColorOrder
    /// One value for all channels, or one for each: a pixel enters the model as `(pixel - mean) / std`.
    public var mean: [Double]
    public var std: [Double]
    public var fit: Fit
    public var cropShare: Double?
    public var padColor: [UInt8]
    public var filter: Filter
    public var provenance: String
    public var fitProvenance: String
    public var filterProvenance: String
    public var note: String

    public init(height: Int, width: Int, channels: Int) {
        self.height = height
        self.width = width
        self.channels = channels
        layout = .hwc
        colorOrder = channels == 1 ? .gray : .rgb
        mean = [0]
        std = [1]
        fit = .squeeze
        cropShare = nil
        padColor = [0, 0, 0]
        filter = .bilinearAntialiased
        provenance = "assumed"
        fitProvenance = "assumed"
        filterProvenance = "assumed"
        note = ""
    }

    public init(from decoder: Decoder) throws {
        let fields = try decoder.container(keyedBy: CodingKeys.self)
        self.init(
            height: try fields.decode(Int.self, forKey: .height),
            width: try fields.decode(Int.self, forKey: .width),
            channels: try fields.decode(Int.self, forKey: .channels)
        )
        layout = try fields.decodeIfPresent(Layout.self, forKey: .layout) ?? layout
        colorOrder = try fields.decodeIfPresent(ColorOrder.self, forKey: .colorOrder) ?? .rgb
        mean = try fields.decodeIfPresent([Double].self, forKey: .mean) ?? mean
        std = try fields.decodeIfPresent([Double].self, forKey: .std) ?? std
        fit = try fields.decodeIfPresent(Fit.self, forKey: .fit) ?? fit
        cropShare = try fields.decodeIfPresent(Double.self, forKey: .cropShare)
        padColor = try fields.decodeIfPresent([UInt8].self, forKey: .padColor) ?? padColor
        filter = try fields.decodeIfPresent(Filter.self, forKey: .filter) ?? filter
        provenance = try fields.decodeIfPresent(String.self, forKey: .provenance) ?? provenance
        fitProvenance = try fields.decodeIfPresent(String.self, forKey: .fitProvenance) ?? fitProvenance
        filterProvenance = try fields.decodeIfPresent(String.self, forKey: .filterProvenance) ?? filterProvenance
        note = try fields.decodeIfPresent(String.self, forKey: .note) ?? note
        try check()
    }

    private func check() throws {
        guard height > 0, width > 0, channels > 0 else { throw KitError("The image size in edgecls.json is not positive.") }
        for values in [mean, std] where values.count != 1 && values.count != channels {
            throw KitError("The contract has \(values.count) values of mean or std for \(channels) channels.")
        }
        guard !std.contains(0) else { throw KitError("The contract divides pixels by a std of 0.") }
        guard padColor.count == 3 else { throw KitError("The contract's padding colour does not have three parts.") }
        if let share = cropShare, !(share > 0 && share <= 1) {
            throw KitError("The contract crops to a share of \(share), which is not between 0 and 1.")
        }
    }
}
