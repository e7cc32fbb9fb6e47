package dev.edgecls.app

import android.content.Context
import android.content.Intent
import android.content.pm.PackageManager
import android.content.res.Configuration
import android.graphics.Bitmap
import android.graphics.Canvas
import android.net.Uri
import android.os.Looper
import android.view.View
import android.view.ViewGroup
import android.widget.Button
import android.widget.Spinner
import android.widget.TextView
import org.junit.Assert.assertEquals
import org.junit.Assert.assertNotNull
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.android.controller.ActivityController
import org.robolectric.annotation.Config
import org.robolectric.annotation.LooperMode
import java.io.ByteArrayInputStream
import java.io.File

/** The screens, drawn by Android's own graphics; pictures of them go where `edgecls.screens` says. */
@RunWith(RobolectricTestRunner::class)
@LooperMode(LooperMode.Mode.PAUSED)
class ScreensTest {
    private val context: Context = RuntimeEnvironment.getApplication()
    private val model = EmbeddedModel(context.assets)
    private val picture = Uri.parse("content://gallery/1")

    @Test
    @Config(qualifiers = "w400dp-h800dp-xhdpi")
    fun `a picture of the gallery gets three answers, which turning the phone keeps`() {
        val controller = classified()
        val answers = controller.get().find<ViewGroup>(R.id.answers)
        assertEquals(3, answers.childCount)
        assertTrue("${answers.getChildAt(0).contentDescription}", answers.getChildAt(0).contentDescription.contains(", "))
        assertTrue(message(controller).startsWith("Inference "))
        draw(controller, "main")

        val turned = Configuration(controller.get().resources.configuration).apply { orientation = Configuration.ORIENTATION_LANDSCAPE }
        controller.configurationChange(turned)
        assertEquals(3, controller.get().find<ViewGroup>(R.id.answers).childCount)
    }

    @Test
    @Config(qualifiers = "w400dp-h800dp-night-xhdpi")
    fun `dark at night`() {
        val controller = classified()
        val drawn = draw(controller, "main-night")
        val corner = drawn.getPixel(drawn.width - 1, drawn.height / 2)
        assertTrue("a dark background, found ${Integer.toHexString(corner)}", corner and 0xff < 0x80)
    }

    @Test
    fun `a denied camera is a sentence`() {
        val controller = opened()
        controller.get().find<Button>(R.id.camera).performClick()
        controller.get().onRequestPermissionsResult(2, arrayOf("android.permission.CAMERA"), intArrayOf(PackageManager.PERMISSION_DENIED))
        assertEquals(context.getString(R.string.camera_denied), message(controller))
    }

    @Test
    fun `an artifact whose engine is not there is a sentence`() {
        val controller = classified()
        choose(controller, "tflite")
        waitFor { message(controller) == "LiteRT is not there for this processor: choose an ONNX artifact." }
    }

    @Test
    fun `everything that can be touched says what it is`() {
        val controller = opened()
        for (id in listOf(R.id.camera, R.id.gallery, R.id.benchmark)) {
            val button = controller.get().find<Button>(id)
            assertTrue("${button.text}", button.text.isNotEmpty() && button.height >= 48 * button.resources.displayMetrics.density)
        }
        assertNotNull(controller.get().find<View>(R.id.picture).contentDescription)
    }

    @Test
    @Config(qualifiers = "w400dp-h800dp-xhdpi")
    fun `the benchmark starts by itself and writes results`() {
        val intent = Intent(context, BenchmarkActivity::class.java).putExtra(BenchmarkActivity.BENCH, true)
        val controller = Robolectric.buildActivity(BenchmarkActivity::class.java, intent).setup()
        val share = controller.get().find<Button>(R.id.share)
        waitFor { share.isEnabled }
        draw(controller, "benchmark")

        val file = BenchmarkRun.resultsFile(context)
        assertTrue(file.readText().contains("\"samples_ms\":["))
        file.copyTo(File(screens, "results.json"), overwrite = true)
        val provided = context.contentResolver.openInputStream(ResultsProvider.URI)!!.use { it.readBytes() }
        assertEquals(file.readText(), provided.decodeToString())

        share.performClick()
        val shared = shadowOf(controller.get()).nextStartedActivity.getParcelableExtra(Intent.EXTRA_INTENT, Intent::class.java)!!
        assertEquals(ResultsProvider.URI, shared.getParcelableExtra(Intent.EXTRA_STREAM, Uri::class.java))
    }

    private fun opened(): ActivityController<MainActivity> = Robolectric.buildActivity(MainActivity::class.java).setup()

    /** The first screen with answers of an ONNX artifact for the first golden picture. */
    private fun classified(): ActivityController<MainActivity> {
        val controller = opened()
        choose(controller, "onnx")
        val file = checkNotNull(model.golden()).images.first().file
        val content = context.assets.open("edgecls/$file").use { it.readBytes() }
        shadowOf(context.contentResolver).registerInputStream(picture, ByteArrayInputStream(content))
        controller.get().classify(picture)
        waitFor { controller.get().find<ViewGroup>(R.id.answers).childCount == 3 }
        return controller
    }

    private fun choose(
        controller: ActivityController<MainActivity>,
        target: String,
    ) {
        controller.get().find<Spinner>(R.id.artifact).setSelection(model.contract.artifacts.indexOfFirst { it.target == target })
        shadowOf(Looper.getMainLooper()).idle()
    }

    private fun message(controller: ActivityController<MainActivity>) = "${controller.get().find<TextView>(R.id.message).text}"

    private fun waitFor(done: () -> Boolean) {
        val end = System.nanoTime() + 120_000_000_000
        while (!done()) {
            check(System.nanoTime() < end) { "two minutes went by" }
            Thread.sleep(20)
            shadowOf(Looper.getMainLooper()).idle()
        }
    }

    private fun draw(
        controller: ActivityController<*>,
        name: String,
    ): Bitmap {
        shadowOf(Looper.getMainLooper()).idle()
        val window = controller.get().window.decorView
        val bitmap = Bitmap.createBitmap(window.width, window.height, Bitmap.Config.ARGB_8888)
        window.draw(Canvas(bitmap))
        File(screens, "$name.png").outputStream().use { bitmap.compress(Bitmap.CompressFormat.PNG, 100, it) }
        return bitmap
    }

    private val screens get() = File(System.getProperty("edgecls.screens") ?: "build/screens").apply { mkdirs() }
}
