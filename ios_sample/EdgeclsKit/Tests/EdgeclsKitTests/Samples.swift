import EdgeclsKit
import Foundation

/// A contract as `edgecls embed` writes it.
enum Samples {
    /// Of the image spec, those that older files lack.
    static let newFields = #"""
        , "fit": "crop", "crop_share": 0.875, "pad_color": [0, 0, 0], "filter": "bicubic",
        "fit_provenance": "declared", "filter_provenance": "declared"
        """#

    static let contract = #"""
        {
        "schema_version": 1, "model": "pets", "edgecls_version": "0.1.0", "source_sha256": "00ff",
        "labels": ["cat", "dog", "owl"], "output_kind": "softmax",
        "image_spec": {"height": 32, "width": 32, "channels": 3, "layout": "HWC", "color_order": "RGB", "mean": [0], "std": [255],
        "provenance": "declared", "note": ""\#(newFields)},
        "artifacts": [
        {"name": "coreml-float32", "file": "pets.mlpackage", "target": "coreml", "scheme": "float32", "size_bytes": 1000, "sha256": "aa",
        "input": {"name": "image", "dtype": "float32", "shape": [1, 32, 32, 3], "kind": "image"},
        "output": {"name": "scores", "dtype": "float32", "shape": [1, 3]}},
        {"name": "coreml-int8", "file": "pets-int8.mlpackage", "target": "coreml", "scheme": "int8", "size_bytes": 300, "sha256": "bb",
        "input": {"name": "image", "dtype": "float32", "shape": [1, 32, 32, 3], "kind": "multiarray", "quantization": null},
        "output": {"name": "scores", "dtype": "float32", "shape": [1, 3], "quantization": null}}
        ],
        "golden": null
        }
        """#

    /// What is made of a folder that holds the contract, or another text in its place.
    static func folder<Made>(_ text: String? = contract, make: (URL) throws -> Made) throws -> Made {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        if let text {
            try Data(text.utf8).write(to: folder.appendingPathComponent(Contract.fileName))
        }
        return try make(folder)
    }
}
