"""What the daemon tells about itself: logging, the watchdog of the event loop, the live status."""
