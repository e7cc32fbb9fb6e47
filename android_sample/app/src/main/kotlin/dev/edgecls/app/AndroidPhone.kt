package dev.edgecls.app

import android.app.ActivityManager
import android.content.Context
import android.os.Build
import android.os.PowerManager
import dev.edgecls.core.Circumstances
import dev.edgecls.core.Environment
import dev.edgecls.core.Phone
import java.io.File
import java.io.IOException

/** The phone this app runs on. */
class AndroidPhone(
    private val context: Context,
) : Phone {
    private val power get() = checkNotNull(context.getSystemService(PowerManager::class.java))

    override fun nanoTime(): Long = System.nanoTime()

    override fun circumstances() =
        Circumstances(
            powerSaving = power.isPowerSaveMode,
            throttled = Build.VERSION.SDK_INT >= 29 && power.currentThermalStatus >= PowerManager.THERMAL_STATUS_MODERATE,
            emulated = Build.HARDWARE in EMULATORS,
        )

    /** What `results.json` says of it; [engines] maps each engine to its version. */
    fun environment(engines: Map<String, String>): Environment {
        val memory = ActivityManager.MemoryInfo()
        checkNotNull(context.getSystemService(ActivityManager::class.java)).getMemoryInfo(memory)
        return Environment(
            platform = "Android ${Build.VERSION.RELEASE} (API ${Build.VERSION.SDK_INT})",
            machine = System.getProperty("os.arch").orEmpty(),
            processor = if (Build.VERSION.SDK_INT >= 31) "${Build.SOC_MANUFACTURER} ${Build.SOC_MODEL}" else Build.HARDWARE,
            instructionSets = instructionSets(),
            cores = Runtime.getRuntime().availableProcessors(),
            memoryBytes = memory.totalMem,
            device = "${Build.MANUFACTURER} ${Build.MODEL}",
            packages = engines,
        )
    }

    private fun instructionSets(): List<String> {
        val told =
            try {
                File("/proc/cpuinfo").useLines { lines ->
                    lines
                        .firstOrNull { it.substringBefore(':').trim() in FEATURE_LINES }
                        ?.substringAfter(':')
                        .orEmpty()
                        .split(' ')
                }
            } catch (_: IOException) {
                // not every phone lets apps read it
                emptyList()
            }
        return INSTRUCTION_SETS.filterKeys { it in told }.values.distinct()
    }

    private companion object {
        val EMULATORS = setOf("goldfish", "ranchu")
        val FEATURE_LINES = setOf("Features", "flags")

        /** Linux' names, and those of `results.json`. */
        val INSTRUCTION_SETS =
            mapOf(
                "avx2" to "avx2",
                "avx512f" to "avx512",
                "avx512_vnni" to "vnni",
                "avx_vnni" to "vnni",
                "amx_int8" to "amx",
                "asimd" to "neon",
                "neon" to "neon",
                "asimddp" to "dotprod",
                "i8mm" to "i8mm",
                "sve" to "sve",
            )
    }
}
