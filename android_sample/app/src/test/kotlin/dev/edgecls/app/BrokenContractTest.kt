package dev.edgecls.app

import android.content.res.Resources
import android.view.View
import android.widget.TextView
import org.junit.Assert.assertEquals
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner

/** The screen of an app into which nothing was embedded. */
@RunWith(RobolectricTestRunner::class)
class BrokenContractTest {
    @Test
    fun `nothing embedded is a sentence, nothing else`() {
        val activity = Robolectric.buildActivity(WithoutAssets::class.java).setup().get()
        val message = "${activity.find<TextView>(R.id.message).text}"
        assertEquals("edgecls/edgecls.json is not in this app: put it there with `edgecls embed`, and build the app again.", message)
        assertEquals(View.GONE, activity.find<View>(R.id.choices).visibility)
    }

    class WithoutAssets : MainActivity() {
        override fun getAssets() = checkNotNull(Resources.getSystem().assets)
    }
}
