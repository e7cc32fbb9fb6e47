package dev.edgecls.core

/** An artifact, open in its engine. Used by one thread at a time. */
interface OpenArtifact : AutoCloseable {
    val used: EngineUsed

    /** Put model input, as [inputOf] gives it, where the engine reads it. */
    fun prepare(input: FloatArray)

    /** One inference: the engine's own call, nothing around it. */
    fun invoke()

    /** Scores of the last inference. */
    fun scores(): FloatArray
}

/** What runs artifacts of one target. */
fun interface Engine {
    /**
     * Open [artifact], whose file holds [content].
     *
     * @throws SampleException the engine does not take it, or is not there.
     */
    fun open(
        artifact: Artifact,
        content: ByteArray,
        threads: Int,
    ): OpenArtifact
}

/** Scores of one picture's [pixels]. */
fun OpenArtifact.classify(
    spec: ImageSpec,
    pixels: Picture,
): FloatArray {
    prepare(spec.inputOf(pixels))
    invoke()
    return scores()
}
