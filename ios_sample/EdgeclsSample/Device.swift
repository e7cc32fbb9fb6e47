import EdgeclsKit
import Foundation

/// This device, as far as it tells an app about itself.
enum Device {
    static var system: String {
        let version = ProcessInfo.processInfo.operatingSystemVersion
        return "\(version.majorVersion).\(version.minorVersion).\(version.patchVersion)"
    }

    static var environment: DeviceDescription {
        DeviceDescription(
            platform: "iOS \(system)",
            machine: architecture,
            processor: model,  // which names the chip to whoever looks it up; iOS does not
            cores: ProcessInfo.processInfo.processorCount,
            memoryBytes: ProcessInfo.processInfo.physicalMemory,
            device: isSimulator ? "\(model) simulator" : model
        )
    }

    static var state: DeviceState {
        let heat: DeviceState.Heat
        switch ProcessInfo.processInfo.thermalState {
        case .nominal: heat = .nominal
        case .fair: heat = .fair
        case .serious: heat = .serious
        default: heat = .critical
        }
        return DeviceState(powerSaving: ProcessInfo.processInfo.isLowPowerModeEnabled, heat: heat, emulated: isSimulator)
    }

    private static var architecture: String {
        #if arch(arm64)
            "arm64"
        #else
            "x86_64"
        #endif
    }

    private static var isSimulator: Bool {
        #if targetEnvironment(simulator)
            true
        #else
            false
        #endif
    }

    /// As `iPhone17,1`.
    private static var model: String {
        if let simulated = ProcessInfo.processInfo.environment["SIMULATOR_MODEL_IDENTIFIER"] { return simulated }
        var names = utsname()
        uname(&names)
        return withUnsafeBytes(of: &names.machine) { bytes in
            String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
    }
}
