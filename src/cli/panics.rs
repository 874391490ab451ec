//! What a panic says.

use std::backtrace::{Backtrace, BacktraceStatus};

use tracing::debug;

use super::terminal::Terminal;
use crate::actor;
use crate::telemetry::events;

/// From now on a panic in user code is part of the error that its deployment fails with, with the place where it
/// happened, rather than a message in the middle of the output. `RUST_BACKTRACE=1` logs a backtrace, too.
pub fn install(terminal: Terminal) {
    std::panic::set_hook(Box::new(move |panic| {
        let reported = actor::note_panic(panic);
        let backtrace = Backtrace::capture();
        let backtrace = match backtrace.status() {
            BacktraceStatus::Captured => format!("\n{backtrace}"),
            _ => String::new(),
        };
        let thread = std::thread::current();
        let thread = thread.name().unwrap_or("?");
        if !reported || !backtrace.is_empty() {
            events::panicked(thread, &format_args!("{panic}{backtrace}"));
            if !reported {
                // It may be the end of the process.
                terminal.close();
            }
        } else {
            debug!(thread, "{panic}");
        }
    }));
}
