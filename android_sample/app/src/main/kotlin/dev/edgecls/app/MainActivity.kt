package dev.edgecls.app

import android.Manifest
import android.app.Activity
import android.content.Intent
import android.content.pm.PackageManager
import android.net.Uri
import android.os.Bundle
import android.view.LayoutInflater
import android.view.View
import android.view.ViewGroup
import android.widget.AdapterView
import android.widget.ArrayAdapter
import android.widget.Button
import android.widget.ImageView
import android.widget.ProgressBar
import android.widget.Spinner
import android.widget.TextView
import dev.edgecls.core.Answer
import dev.edgecls.core.SampleException
import java.io.IOException

/** A picture from the camera or the gallery, and what the model says of it. Open, so that a test can take its assets away. */
open class MainActivity : Activity() {
    private var session: Session? = null
    private var camera: Camera? = null

    override fun onCreate(state: Bundle?) {
        super.onCreate(state)
        setContentView(R.layout.main)
        try {
            val kept = lastNonConfigurationInstance as Session?
            begin(kept ?: Session(EmbeddedModel(assets)))
        } catch (error: SampleException) {
            message(error.message.orEmpty())
            find<View>(R.id.choices).visibility = View.GONE
        }
    }

    override fun onStop() {
        stopCamera()
        super.onStop()
    }

    override fun onDestroy() {
        session?.listener = null
        if (!isChangingConfigurations) session?.close()
        super.onDestroy()
    }

    override fun onRetainNonConfigurationInstance(): Any? = session

    /** Classify the picture at [uri], as the gallery gives it. */
    fun classify(uri: Uri) {
        session?.classify { readPicture(content(uri)) }
    }

    override fun onActivityResult(
        request: Int,
        result: Int,
        data: Intent?,
    ) {
        data?.data?.takeIf { result == RESULT_OK }?.let(::classify)
    }

    override fun onRequestPermissionsResult(
        request: Int,
        permissions: Array<String>,
        results: IntArray,
    ) {
        if (results.firstOrNull() == PackageManager.PERMISSION_GRANTED) startCamera() else session?.say(getString(R.string.camera_denied))
    }

    private fun begin(session: Session) {
        this.session = session
        val contract = session.model.contract
        find<TextView>(R.id.title).text = contract.model
        val (artifact, threads) = session.choice
        spinner(R.id.artifact, contract.artifacts.map { it.name }, artifact) { session.choose(it, session.choice.second) }
        spinner(R.id.threads, THREADS.map { "$it" }, THREADS.indexOf(threads)) { session.choose(session.choice.first, THREADS[it]) }
        button(R.id.camera) { if (camera == null) askForCamera() else stopCamera() }
        button(R.id.gallery) { openGallery() }
        button(R.id.benchmark) { startActivity(Intent(this, BenchmarkActivity::class.java)) }
        session.listener = ::show
        session.shown?.let(::show)
    }

    private fun openGallery() {
        val gallery = Intent(Intent.ACTION_GET_CONTENT).setType("image/*").addCategory(Intent.CATEGORY_OPENABLE)
        startActivityForResult(gallery, GALLERY)
    }

    private fun content(uri: Uri): ByteArray =
        try {
            checkNotNull(contentResolver.openInputStream(uri)).use { it.readBytes() }
        } catch (error: IOException) {
            throw SampleException("The picture cannot be opened: ${error.message}", error)
        } catch (error: SecurityException) {
            throw SampleException("The app that has this picture does not hand it out: choose another one.", error)
        }

    private fun askForCamera() {
        if (checkSelfPermission(Manifest.permission.CAMERA) == PackageManager.PERMISSION_GRANTED) {
            startCamera()
        } else {
            requestPermissions(arrayOf(Manifest.permission.CAMERA), CAMERA)
        }
    }

    private fun startCamera() {
        val session = session ?: return
        val found =
            Camera(
                this,
                wanted = { session.idle },
                onPicture = { picture -> session.classify { picture } },
                onFailure = { runOnUiThread { cameraFailed() } },
            )
        camera = found
        find<Button>(R.id.camera).setText(R.string.camera_stop)
        if (!found.start()) {
            stopCamera()
            session.say(getString(R.string.no_camera))
        }
    }

    private fun cameraFailed() {
        stopCamera()
        session?.say(getString(R.string.camera_failed))
    }

    private fun stopCamera() {
        camera?.close()
        camera = null
        find<Button>(R.id.camera).setText(R.string.camera)
    }

    private fun show(shown: Shown) {
        val answers = find<ViewGroup>(R.id.answers)
        answers.removeAllViews()
        when (shown) {
            is Shown.Sentence -> message(shown.text)
            is Shown.Answers -> {
                find<ImageView>(R.id.picture).setImageBitmap(bitmapOf(shown.picture))
                shown.answers.forEach { answers.addView(row(it, answers)) }
                message(getString(R.string.times, shown.inferenceMs, shown.preparationMs))
            }
        }
    }

    private fun row(
        answer: Answer,
        parent: ViewGroup,
    ): View {
        val row = LayoutInflater.from(this).inflate(R.layout.answer, parent, false)
        val percent = getString(R.string.percent, PERCENT * answer.probability)
        row.find<TextView>(R.id.label).text = answer.label
        row.find<TextView>(R.id.share_of_one).text = percent
        row.find<ProgressBar>(R.id.bar).apply { progress = (max * answer.probability).toInt() }
        row.contentDescription = getString(R.string.answer_description, answer.label, percent)
        return row
    }

    private fun message(text: String) {
        find<TextView>(R.id.message).text = text
    }

    private fun button(
        id: Int,
        onClick: () -> Unit,
    ) = find<Button>(id).setOnClickListener { onClick() }

    private fun spinner(
        id: Int,
        entries: List<String>,
        selected: Int,
        onSelected: (Int) -> Unit,
    ) {
        val spinner = find<Spinner>(id)
        spinner.adapter = ArrayAdapter(this, android.R.layout.simple_spinner_dropdown_item, entries)
        spinner.setSelection(selected)
        spinner.onItemSelectedListener =
            object : AdapterView.OnItemSelectedListener {
                override fun onItemSelected(
                    parent: AdapterView<*>?,
                    view: View?,
                    position: Int,
                    id: Long,
                ) = onSelected(position)

                override fun onNothingSelected(parent: AdapterView<*>?) = Unit
            }
    }

    private companion object {
        const val GALLERY = 1
        const val CAMERA = 2
        const val PERCENT = 100
        val THREADS = listOf(1, 2, 4)
    }
}
