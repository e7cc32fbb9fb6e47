package dev.edgecls.app

import android.os.Handler
import android.os.Looper
import dev.edgecls.core.Answer
import dev.edgecls.core.OpenArtifact
import dev.edgecls.core.Picture
import dev.edgecls.core.SampleException
import dev.edgecls.core.inputOf
import dev.edgecls.core.pixelsOf
import dev.edgecls.core.topClasses
import java.util.concurrent.Executors
import java.util.concurrent.atomic.AtomicInteger

/** What the screen shows: a picture with its answers, or a sentence. */
sealed interface Shown {
    /** [picture] as it was classified. */
    data class Answers(
        val picture: Picture,
        val answers: List<Answer>,
        val inferenceMs: Double,
        val preparationMs: Double,
    ) : Shown

    /** Why there are no answers. */
    data class Sentence(
        val text: String,
    ) : Shown
}

/** Classifies pictures, one after another on a thread of its own; it outlives the activity when the phone is turned. */
class Session(
    val model: EmbeddedModel,
) {
    private val thread = Executors.newSingleThreadExecutor()
    private val screen = Handler(Looper.getMainLooper())
    private val waiting = AtomicInteger()
    private var opened: OpenArtifact? = null
    private var openedAs: Pair<Int, Int>? = null
    private var picture: Picture? = null

    /** Index of the artifact, and number of threads. */
    @Volatile var choice = 0 to 1
        private set

    /** Who shows what comes out; none while the activity is made anew. */
    var listener: ((Shown) -> Unit)? = null

    var shown: Shown? = null
        private set

    /** Whether every picture so far is classified: a camera then may bring another. */
    val idle get() = waiting.get() == 0

    /** Classify what [read] gives. */
    fun classify(read: () -> Picture) = work { read().also { picture = it } }

    /** Take this artifact and so many threads, and classify the last picture again. */
    fun choose(
        artifact: Int,
        threads: Int,
    ) {
        if (choice == artifact to threads) return
        choice = artifact to threads
        work { picture }
    }

    /** Show [sentence] instead of answers. */
    fun say(sentence: String) = show(Shown.Sentence(sentence))

    /** Nothing is classified any more. */
    fun close() {
        listener = null
        thread.execute { opened?.close() }
        thread.shutdown()
    }

    private fun work(find: () -> Picture?) {
        waiting.incrementAndGet()
        thread.execute {
            try {
                find()?.let { answer(it) }?.let { screen.post { show(it) } }
            } catch (error: SampleException) {
                screen.post { say(error.message.orEmpty()) }
            } finally {
                waiting.decrementAndGet()
            }
        }
    }

    private fun answer(picture: Picture): Shown {
        val contract = model.contract
        val artifact = open(choice)
        val start = System.nanoTime()
        artifact.prepare(contract.imageSpec.inputOf(contract.imageSpec.pixelsOf(picture)))
        val prepared = System.nanoTime()
        artifact.invoke()
        val done = System.nanoTime()
        val answers = topClasses(artifact.scores(), contract.outputKind, contract.labels, TOP)
        return Shown.Answers(picture, answers, (done - prepared) / 1e6, (prepared - start) / 1e6)
    }

    private fun open(wanted: Pair<Int, Int>): OpenArtifact {
        opened?.let { if (openedAs == wanted) return it else it.close() }
        opened = null
        val found = model.open(model.contract.artifacts[wanted.first], wanted.second)
        opened = found
        openedAs = wanted
        return found
    }

    private fun show(what: Shown) {
        shown = what
        listener?.invoke(what)
    }

    private companion object {
        const val TOP = 3
    }
}
