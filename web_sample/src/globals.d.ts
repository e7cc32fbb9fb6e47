/** Versions of the engines, put in by vite.config.ts. */
declare const __LITERT_VERSION__: string;
declare const __ONNXRUNTIME_VERSION__: string;
