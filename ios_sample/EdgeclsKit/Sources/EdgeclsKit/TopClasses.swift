import Foundation

/// One class of an answer.
public struct Prediction: Equatable, Sendable {
    public let index: Int
    public let label: String
    /// 0 to 1: logits are turned into probabilities, scores that are probabilities stay.
    public let probability: Double
}

extension Contract {
    /// The best classes, best first; of equal ones the lower index first.
    ///
    /// - Parameter scores: of one picture. One score means two classes: the second where it is high.
    /// - Throws: `KitError`: not one label to a class.
    public func topClasses(of scores: [Float], count: Int) throws -> [Prediction] {
        let probabilities = outputKind.probabilities(scores.map(Double.init))
        guard labels.count == probabilities.count else {
            throw KitError(
                "The model tells \(probabilities.count) classes apart, and edgecls.json names \(labels.count): run `edgecls embed` again."
            )
        }
        let order = probabilities.indices.sorted { (-probabilities[$0], $0) < (-probabilities[$1], $1) }
        return order.prefix(count).map { Prediction(index: $0, label: labels[$0], probability: probabilities[$0]) }
    }
}

extension Contract.OutputKind {
    fileprivate func probabilities(_ scores: [Double]) -> [Double] {
        if scores.count == 1 {
            let high = self == .logits ? 1 / (1 + exp(-scores[0])) : scores[0]
            return [1 - high, high]
        }
        guard self == .logits, let highest = scores.max() else { return scores }
        let powers = scores.map { exp($0 - highest) }
        let sum = powers.reduce(0, +)
        return powers.map { $0 / sum }
    }
}
