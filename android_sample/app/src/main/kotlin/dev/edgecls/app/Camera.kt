package dev.edgecls.app

import android.annotation.SuppressLint
import android.app.Activity
import android.graphics.ImageFormat
import android.hardware.camera2.CameraAccessException
import android.hardware.camera2.CameraCaptureSession
import android.hardware.camera2.CameraCharacteristics
import android.hardware.camera2.CameraDevice
import android.hardware.camera2.CameraManager
import android.media.ExifInterface
import android.media.Image
import android.media.ImageReader
import android.os.Handler
import android.os.HandlerThread
import android.util.Size
import android.view.Surface
import dev.edgecls.core.Picture
import dev.edgecls.core.Plane
import dev.edgecls.core.pictureOf
import kotlin.math.abs

/**
 * The camera at the back: its frames as upright pictures.
 *
 * @param wanted whether the next frame is of use; others are dropped.
 * @param onFailure hears it when the camera stops by itself.
 */
class Camera(
    private val activity: Activity,
    private val wanted: () -> Boolean,
    private val onPicture: (Picture) -> Unit,
    private val onFailure: () -> Unit,
) : AutoCloseable {
    private val thread = HandlerThread("camera").apply { start() }
    private val handler = Handler(thread.looper)
    private val manager = checkNotNull(activity.getSystemService(CameraManager::class.java))
    private var device: CameraDevice? = null
    private var reader: ImageReader? = null

    /** Begin; false where the phone has no camera. The permission is the caller's to ask for. */
    @SuppressLint("MissingPermission")
    fun start(): Boolean {
        try {
            val id = manager.cameraIdList.minByOrNull { if (facing(it) == CameraCharacteristics.LENS_FACING_BACK) 0 else 1 } ?: return false
            manager.openCamera(id, Opened(id), handler)
        } catch (_: CameraAccessException) {
            onFailure()
        }
        return true
    }

    override fun close() {
        handler.post {
            device?.close()
            reader?.close()
            thread.quitSafely()
        }
    }

    private fun facing(id: String) = manager.getCameraCharacteristics(id).get(CameraCharacteristics.LENS_FACING)

    private inner class Opened(
        private val id: String,
    ) : CameraDevice.StateCallback() {
        override fun onOpened(camera: CameraDevice) {
            device = camera
            val size = size(id)
            val frames = ImageReader.newInstance(size.width, size.height, ImageFormat.YUV_420_888, 2)
            frames.setOnImageAvailableListener({ read(it, orientation(id)) }, handler)
            reader = frames
            @Suppress("DEPRECATION") // what took its place needs Android 9
            camera.createCaptureSession(listOf(frames.surface), Repeating(camera, frames.surface), handler)
        }

        override fun onDisconnected(camera: CameraDevice) = fail(camera)

        override fun onError(
            camera: CameraDevice,
            error: Int,
        ) = fail(camera)

        private fun fail(camera: CameraDevice) {
            camera.close()
            onFailure()
        }
    }

    private inner class Repeating(
        private val camera: CameraDevice,
        private val surface: Surface,
    ) : CameraCaptureSession.StateCallback() {
        override fun onConfigured(session: CameraCaptureSession) {
            val request = camera.createCaptureRequest(CameraDevice.TEMPLATE_PREVIEW).apply { addTarget(surface) }
            session.setRepeatingRequest(request.build(), null, handler)
        }

        override fun onConfigureFailed(session: CameraCaptureSession) = onFailure()
    }

    private fun read(
        frames: ImageReader,
        orientation: Int,
    ) {
        frames.acquireLatestImage()?.use { if (wanted()) onPicture(pictureOf(it).upright(orientation)) }
    }

    private fun pictureOf(frame: Image): Picture {
        val (luma, blueness, redness) = frame.planes.map { Plane(it.buffer, it.rowStride, it.pixelStride) }
        return pictureOf(frame.height, frame.width, luma, blueness, redness)
    }

    /** The size nearest to [PIXELS]: enough for any model, and quick. */
    private fun size(id: String): Size {
        val sizes = manager.getCameraCharacteristics(id).get(CameraCharacteristics.SCALER_STREAM_CONFIGURATION_MAP)
        val known = sizes?.getOutputSizes(ImageFormat.YUV_420_888).orEmpty()
        return known.minByOrNull { abs(it.width * it.height - PIXELS) } ?: Size(640, 480)
    }

    /** How the sensor's frames stand, as EXIF counts it: the sensor is built in at an angle, and the phone may be turned. */
    private fun orientation(id: String): Int {
        val built = manager.getCameraCharacteristics(id).get(CameraCharacteristics.SENSOR_ORIENTATION) ?: 0

        @Suppress("DEPRECATION") // what took its place needs Android 11
        val turned = QUARTER * activity.windowManager.defaultDisplay.rotation
        val front = facing(id) == CameraCharacteristics.LENS_FACING_FRONT
        return ORIENTATIONS.getValue((built + (if (front) turned else -turned) + FULL) % FULL)
    }

    private companion object {
        const val PIXELS = 640 * 480
        const val QUARTER = 90
        const val FULL = 360
        val ORIENTATIONS =
            mapOf(
                0 to ExifInterface.ORIENTATION_NORMAL,
                90 to ExifInterface.ORIENTATION_ROTATE_90,
                180 to ExifInterface.ORIENTATION_ROTATE_180,
                270 to ExifInterface.ORIENTATION_ROTATE_270,
            )
    }
}
