package dev.edgecls.app

import android.app.Activity
import android.content.ClipData
import android.content.Intent
import android.os.Bundle
import android.view.WindowManager
import android.widget.Button
import android.widget.ProgressBar
import android.widget.TextView
import dev.edgecls.core.BenchmarkOptions
import dev.edgecls.core.Measurement
import dev.edgecls.core.Results

/** Measures every artifact; `adb shell am start -n dev.edgecls.app/.BenchmarkActivity --ez bench true` starts it without a hand. */
class BenchmarkActivity : Activity() {
    private var run: BenchmarkRun? = null

    override fun onCreate(state: Bundle?) {
        super.onCreate(state)
        setContentView(R.layout.benchmark)
        window.addFlags(WindowManager.LayoutParams.FLAG_KEEP_SCREEN_ON)
        find<Button>(R.id.start).setOnClickListener { start() }
        find<Button>(R.id.share).setOnClickListener { share() }
        val kept = lastNonConfigurationInstance as BenchmarkRun?
        if (kept != null) {
            follow(kept)
        } else if (intent.getBooleanExtra(BENCH, false)) {
            start()
        }
    }

    override fun onDestroy() {
        run?.listener = null
        super.onDestroy()
    }

    override fun onRetainNonConfigurationInstance(): Any? = run

    private fun start() {
        val started = BenchmarkRun(this, BenchmarkOptions(threads = intent.getIntExtra(THREADS, 1).coerceAtLeast(1)))
        follow(started)
        started.start()
    }

    private fun follow(run: BenchmarkRun) {
        this.run = run
        find<Button>(R.id.start).isEnabled = false
        run.listener = ::show
        run.progress?.let(::show)
    }

    private fun show(progress: Progress) {
        val message = find<TextView>(R.id.message)
        find<Button>(R.id.start).isEnabled = progress !is Progress.Turns
        when (progress) {
            is Progress.Turns -> {
                find<ProgressBar>(R.id.progress).max = progress.all
                find<ProgressBar>(R.id.progress).progress = progress.done
                message.text = getString(R.string.progress, progress.done, progress.all)
            }
            is Progress.Done -> {
                message.text = getString(R.string.written)
                find<TextView>(R.id.table).text = table(progress.results)
                find<Button>(R.id.share).isEnabled = true
            }
            is Progress.Failed -> message.text = progress.sentence
        }
    }

    private fun table(results: Results) = (results.measurements.map(::row) + results.notes).joinToString("\n\n")

    private fun row(measurement: Measurement): String {
        val latency = measurement.latency ?: return "${measurement.artifact}: ${measurement.reason}"
        val doubts = latency.validity.reasons.joinToString("") { "\n${it.text}" }
        return getString(R.string.latency, measurement.artifact, latency.p50Ms, latency.p90Ms, latency.runs) + doubts
    }

    private fun share() {
        val results = ResultsProvider.URI
        val send =
            Intent(Intent.ACTION_SEND)
                .setType("application/json")
                .putExtra(Intent.EXTRA_STREAM, results)
                .addFlags(Intent.FLAG_GRANT_READ_URI_PERMISSION)
        send.clipData = ClipData.newRawUri(null, results) // the permission goes with it through the chooser
        startActivity(Intent.createChooser(send, getString(R.string.share)))
    }

    companion object {
        /** Extra that starts the benchmark at once. */
        const val BENCH = "bench"

        /** Extra with the number of threads of one inference. */
        const val THREADS = "threads"
    }
}
