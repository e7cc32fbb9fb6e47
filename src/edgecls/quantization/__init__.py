"""int8 and its kin: ranges, scales, and the passes that one TFLite graph goes through."""
