//! The local time zone.

use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;

/// Where time zones are by name.
const ZONES: &str = "/usr/share/zoneinfo";

/// The zone of this machine.
const HERE: &str = "/etc/localtime";

/// The local time zone: what `TZ` says, else that of the machine, else UTC.
///
/// Read by hand, one file: jiff's own look-up by name opens all of the machine's 600 zones first, which takes longer
/// than all the rest of a short run.
pub(super) fn local() -> TimeZone {
    let named = std::env::var("TZ").unwrap_or_default();
    let zone = match named.strip_prefix(':').unwrap_or(&named) {
        "" => read(Path::new(HERE)),
        name => read(&PathBuf::from(ZONES).join(name)).or_else(|| TimeZone::posix(name).ok()),
    };
    zone.unwrap_or(TimeZone::UTC)
}

fn read(path: &Path) -> Option<TimeZone> {
    TimeZone::tzif("local", &std::fs::read(path).ok()?).ok()
}
