package dev.edgecls.app

import android.app.Activity
import android.view.View

/** The view [id] of a layout that has it. */
internal fun <T : View> Activity.find(id: Int): T = checkNotNull(findViewById<T>(id)) { "no view $id in this layout" }

/** The view [id] below this one, which has it. */
internal fun <T : View> View.find(id: Int): T = checkNotNull(findViewById<T>(id)) { "no view $id in this layout" }
