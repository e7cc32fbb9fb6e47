package dev.edgecls.app

import android.content.ContentProvider
import android.content.ContentValues
import android.database.Cursor
import android.database.MatrixCursor
import android.net.Uri
import android.os.ParcelFileDescriptor
import android.provider.OpenableColumns

/** Hands `results.json` to the app that the user shares it with, for reading alone. */
class ResultsProvider : ContentProvider() {
    private val file get() = BenchmarkRun.resultsFile(checkNotNull(context))

    override fun onCreate() = true

    override fun getType(uri: Uri) = "application/json"

    override fun openFile(
        uri: Uri,
        mode: String,
    ): ParcelFileDescriptor = ParcelFileDescriptor.open(file, ParcelFileDescriptor.MODE_READ_ONLY)

    override fun query(
        uri: Uri,
        projection: Array<String>?,
        selection: String?,
        arguments: Array<String>?,
        order: String?,
    ): Cursor {
        val columns = projection ?: arrayOf(OpenableColumns.DISPLAY_NAME, OpenableColumns.SIZE)
        val known = mapOf<String, Any>(OpenableColumns.DISPLAY_NAME to file.name, OpenableColumns.SIZE to file.length())
        return MatrixCursor(columns).apply { addRow(columns.map { known[it] }) }
    }

    override fun insert(
        uri: Uri,
        values: ContentValues?,
    ) = throw UnsupportedOperationException("results can be read, nothing else")

    override fun update(
        uri: Uri,
        values: ContentValues?,
        selection: String?,
        arguments: Array<String>?,
    ) = throw UnsupportedOperationException("results can be read, nothing else")

    override fun delete(
        uri: Uri,
        selection: String?,
        arguments: Array<String>?,
    ) = throw UnsupportedOperationException("results can be read, nothing else")

    companion object {
        /** The one file. */
        val URI: Uri = Uri.parse("content://dev.edgecls.app.results/results.json")
    }
}
