"""Pure codecs that the core and several plugins share: Kite's binary frames, control records, rows."""
