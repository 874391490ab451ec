//! How far a bounded workflow has come, on a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::runtime::{DeploymentStatus, Phase, VertexStatus};

/// Steps of the bar: a tenth of a percent each.
const STEPS: u64 = 1000;

/// The share of the newest rate in the rate that is shown: what was a second ago counts for a fifth.
const NEWEST: f64 = 0.2;

/// A line with the share read, a rate and the time left. Removed when dropped.
pub struct Bar {
    bar: ProgressBar,
    rate: f64,
    /// When the last status was, since the deployment, and how many records had been emitted by then.
    last: (Duration, u64),
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

impl Bar {
    /// Shows a status: in the bar, or in a new one. Gives none when there is nothing to show.
    pub fn show(bar: Option<Bar>, status: &DeploymentStatus) -> Option<Bar> {
        let share = share(status)?;
        let mut bar = bar.unwrap_or_else(Bar::new);
        let emitted = emitted(status);
        let (then, before) = bar.last;
        let seconds = status.elapsed.saturating_sub(then).as_secs_f64();
        if seconds > 0.0 {
            let rate = emitted.saturating_sub(before) as f64 / seconds;
            let first = before == 0;
            bar.rate = if first { rate } else { NEWEST * rate + (1.0 - NEWEST) * bar.rate };
        }
        bar.last = (status.elapsed, emitted);
        bar.bar.set_position((share * STEPS as f64) as u64);
        bar.bar.set_message(describe(status, share, bar.rate));
        Some(bar)
    }

    fn new() -> Bar {
        // At most twenty times a second, and not at all if stderr is no terminal.
        let bar = ProgressBar::with_draw_target(Some(STEPS), ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("[{bar:24}] {msg}") {
            bar.set_style(style.progress_chars("=> "));
        }
        Bar { bar, rate: 0.0, last: (Duration::ZERO, 0) }
    }

    /// Writes something above the line.
    pub fn above(&self, write: impl FnOnce()) {
        self.bar.suspend(write);
    }
}

/// The share that the sources have read, from 0 to 1, if they know it and there is something left to do.
fn share(status: &DeploymentStatus) -> Option<f64> {
    let progress = status.progress?;
    let runs = matches!(status.phase, Phase::Running | Phase::Stopping);
    (runs && progress.total > 0).then(|| progress.done.min(progress.total) as f64 / progress.total as f64)
}

/// Records emitted by the busiest vertex.
fn emitted(status: &DeploymentStatus) -> u64 {
    status.vertices.iter().map(VertexStatus::emitted).max().unwrap_or(0)
}

fn describe(status: &DeploymentStatus, share: f64, rate: f64) -> String {
    let left = match status.phase {
        Phase::Stopping => "stopping".to_owned(),
        _ if share > 0.0 => {
            let left = status.elapsed.as_secs_f64() * (1.0 - share) / share;
            format!("{} left", duration(left))
        }
        _ => "starting".to_owned(),
    };
    format!("{} {:.0} %, {} records/s, {left}", status.name, share * 100.0, thousands(rate))
}

/// A number with three digits or so: `950`, `12.3 k`, `4.56 M`.
fn thousands(number: f64) -> String {
    match number {
        n if n < 1e3 => format!("{n:.0}"),
        n if n < 1e6 => format!("{:.1} k", n / 1e3),
        n if n < 1e9 => format!("{:.2} M", n / 1e6),
        n => format!("{:.2} G", n / 1e9),
    }
}

/// `42 s`, `3 min 20 s`, `5 h 12 min`.
fn duration(seconds: f64) -> String {
    let seconds = seconds.ceil() as u64;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::DeploymentId;
    use crate::runtime::WorkerStatus;
    use crate::workflow::Progress;

    fn status(phase: Phase, progress: Option<Progress>) -> DeploymentStatus {
        let worker = |emitted| WorkerStatus { node: "local".to_owned(), received: 0, emitted };
        let vertex =
            |name: &str, emitted| VertexStatus { name: name.to_owned(), workers: vec![worker(emitted)], failed: 0 };
        DeploymentStatus {
            id: DeploymentId(1),
            name: "count".to_owned(),
            phase,
            elapsed: Duration::from_secs(30),
            progress,
            vertices: vec![vertex("lines", 10), vertex("words", 300_000)],
        }
    }

    #[test]
    fn the_line_says_share_rate_and_time_left() {
        let status = status(Phase::Running, Some(Progress { done: 25, total: 100 }));
        let bar = Bar::show(None, &status).expect("a bar");
        assert_eq!(describe(&status, 0.25, bar.rate), "count 25 %, 10.0 k records/s, 1 min 30 s left");
    }

    #[test]
    fn nothing_is_shown_of_sources_without_an_end() {
        assert!(Bar::show(None, &status(Phase::Running, None)).is_none());
        assert!(Bar::show(None, &status(Phase::Running, Some(Progress { done: 0, total: 0 }))).is_none());
        assert!(Bar::show(None, &status(Phase::Completed, Some(Progress { done: 1, total: 1 }))).is_none());
    }

    #[test]
    fn numbers_are_short() {
        let shown: Vec<_> = [0.0, 999.0, 12_345.0, 4_560_000.0, 2e9].map(thousands).into_iter().collect();
        assert_eq!(shown, ["0", "999", "12.3 k", "4.56 M", "2.00 G"]);
        let shown: Vec<_> = [0.2, 59.0, 200.0, 18_720.0].map(duration).into_iter().collect();
        assert_eq!(shown, ["1 s", "59 s", "3 min 20 s", "5 h 12 min"]);
    }
}
