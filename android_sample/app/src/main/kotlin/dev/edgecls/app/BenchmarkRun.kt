package dev.edgecls.app

import android.content.Context
import android.os.Handler
import android.os.Looper
import android.util.Log
import dev.edgecls.core.Benchmark
import dev.edgecls.core.BenchmarkOptions
import dev.edgecls.core.Measurement
import dev.edgecls.core.Results
import dev.edgecls.core.SampleException
import java.io.File
import java.text.SimpleDateFormat
import java.util.Date
import java.util.Locale
import java.util.TimeZone
import kotlin.concurrent.thread

/** How far a benchmark is. */
sealed interface Progress {
    /** [done] of [all] turns are taken. */
    data class Turns(
        val done: Int,
        val all: Int,
    ) : Progress

    /** [results] are written. */
    data class Done(
        val results: Results,
    ) : Progress

    /** It ended with a sentence. */
    data class Failed(
        val sentence: String,
    ) : Progress
}

/** One run of the benchmark, on a thread of its own; it outlives the activity when the phone is turned. */
class BenchmarkRun(
    context: Context,
    private val options: BenchmarkOptions,
) {
    private val app = context.applicationContext
    private val screen = Handler(Looper.getMainLooper())

    /** Who shows the progress; none while the activity is made anew. */
    var listener: ((Progress) -> Unit)? = null

    var progress: Progress? = null
        private set

    /** Begin. */
    fun start() {
        thread(name = "benchmark") {
            try {
                val results = measure()
                val file = resultsFile(app)
                file.writeText(results.toJson())
                Log.i(TAG, "results: ${file.path}")
                tell(Progress.Done(results))
            } catch (error: SampleException) {
                Log.e(TAG, "failed: ${error.message}")
                tell(Progress.Failed(error.message.orEmpty()))
            }
        }
    }

    private fun measure(): Results {
        val model = EmbeddedModel(app.assets)
        val phone = AndroidPhone(app)
        val measurements = Benchmark(model.contract, model::open, phone, options).run { done, all -> tell(Progress.Turns(done, all)) }
        return Results(
            created = now(),
            edgeclsVersion = model.contract.edgeclsVersion,
            sourceSha256 = model.contract.sourceSha256,
            imageSpec = model.contract.imageSpec,
            labels = model.contract.labels,
            environment = phone.environment(engines(measurements)),
            notes = GoldenCheck(model).sentences(),
            measurements = measurements,
        )
    }

    private fun engines(measurements: List<Measurement>) = measurements.mapNotNull { it.engine }.associate { it.name to it.version }

    private fun tell(what: Progress) {
        screen.post {
            progress = what
            listener?.invoke(what)
        }
    }

    private fun now(): String {
        val format = SimpleDateFormat("yyyy-MM-dd'T'HH:mm:ss'Z'", Locale.ROOT)
        format.timeZone = TimeZone.getTimeZone("UTC")
        return format.format(Date())
    }

    companion object {
        /** By which `adb logcat` finds the end of a run. */
        const val TAG = "edgecls"

        /** Where results lie, for `adb pull` and for sharing. */
        fun resultsFile(context: Context) = File(context.getExternalFilesDir(null) ?: context.filesDir, "results.json")
    }
}
