//! Windows with triggers: against lists of records.

use super::*;

/// What a window has, by definition.
#[derive(Clone, Debug, Default)]
struct Content {
    records: Vec<Record>,
    since_fired: usize,
    /// Multiples that it waits for, of a trigger by time.
    due: Option<Timestamp>,
}

/// Which trigger.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Count(usize),
    Time(i64),
}

/// All windows by definition: those of `size`, `slide` apart, or one; looked through each time.
struct Model {
    windows: Option<(i64, i64, i64)>,
    kind: Kind,
    purges: bool,
    time: Timestamp,
    contents: BTreeMap<(Window, u8), Content>,
}

type Expected = Outcome<(Window, u8, Vec<u32>, Firing), Record>;

const ALWAYS: Window = Window { start: i64::MIN, end: i64::MAX };

impl Model {
    fn late(&self) -> i64 {
        self.windows.map_or(0, |(.., late)| late)
    }

    fn fire(&mut self, of: (Window, u8), firing: Firing) -> Option<Expected> {
        let content = self.contents.get_mut(&of)?;
        content.since_fired = 0;
        let records = content.records.clone();
        if self.purges && firing == Firing::Early {
            self.contents.remove(&of);
        }
        let times = || records.iter().map(|record| record.0);
        let span = Window { start: times().min()?, end: times().max()? + 1 };
        let window = if of.0 == ALWAYS { span } else { of.0 };
        Some(Outcome::Result((window, of.1, numbers(&records), firing)))
    }

    fn record(&mut self, record: Record) -> Vec<Expected> {
        let windows: Vec<Window> = match self.windows {
            None => vec![ALWAYS],
            Some((size, slide, late)) => {
                let ends = (record.0 + 1..=record.0 + size).filter(|end| (end - size).rem_euclid(slide) == 0);
                let kept = ends.filter(|end| end + late > self.time);
                kept.map(|end| Window { start: end - size, end }).collect()
            }
        };
        if windows.is_empty() {
            return vec![Outcome::Late(record)];
        }
        let mut expected = Vec::new();
        for window in windows {
            let of = (window, record.1);
            let content = self.contents.entry(of).or_default();
            content.records.push(record);
            content.since_fired += 1;
            if window.end <= self.time {
                expected.extend(self.fire(of, Firing::Late));
                continue;
            }
            match self.kind {
                Kind::Count(every) if content.since_fired >= every => expected.extend(self.fire(of, Firing::Early)),
                Kind::Count(_) => {}
                Kind::Time(every) => {
                    let next = (record.0.max(self.time).div_euclid(every) + 1) * every;
                    content.due = Some(content.due.map_or(next, |due| due.min(next)));
                }
            }
        }
        expected
    }

    fn advance(&mut self, by: i64) -> Vec<Expected> {
        let before = self.time;
        self.time += by;
        let mut expected = Vec::new();
        for of in self.contents.keys().copied().collect::<Vec<_>>() {
            let Some(content) = self.contents.get_mut(&of) else { continue };
            // One that is due at the end of a window, or behind it, does not come.
            let due = content.due.filter(|due| *due <= self.time && *due < of.0.end && of.0.end > before);
            if due.is_some() {
                content.due = None;
                expected.extend(self.fire(of, Firing::Early));
            }
            if of.0.end > before && of.0.end <= self.time {
                expected.extend(self.fire(of, Firing::OnTime));
            }
        }
        let (time, late) = (self.time, self.late());
        self.contents.retain(|(window, _), _| window.end.saturating_add(late) > time);
        expected
    }

    fn end(&mut self) -> Vec<Expected> {
        let open: Vec<_> = self.contents.keys().copied().filter(|(window, _)| window.end > self.time).collect();
        open.into_iter().filter_map(|of| self.fire(of, Firing::OnTime)).collect()
    }
}

fn sorted(mut outcomes: Vec<Expected>) -> Vec<Expected> {
    outcomes.sort_by_key(|outcome| format!("{outcome:?}"));
    outcomes
}

fn as_expected(emitted: Vec<Outcome<Windowed<u8, Vec<Record>>, Record>>) -> Vec<Expected> {
    let each = |outcome: Outcome<Windowed<u8, Vec<Record>>, Record>| match outcome {
        Outcome::Result(Windowed { window, key, value, firing }) => {
            Outcome::Result((window, key, numbers(&value), firing))
        }
        Outcome::Late(record) => Outcome::Late(record),
    };
    emitted.into_iter().map(each).collect()
}

fn compare<W: Spans, R: Trigger<Record>>(windows: W, trigger: R, model: &mut Model, steps: &[Step]) {
    let (key, time): (fn(&Record) -> u8, fn(&Record) -> i64) = (|record| record.1, |record| record.0);
    let mut scene = Scene::new(Processing::new(TriggeredWindow::new(key, time, windows, trigger, Collect)));
    for step in steps {
        scene.act(step);
        let expected = match step {
            Step::Record(..) => model.record(scene.records.last().copied().unwrap_or_default()),
            Step::Advance(by) => model.advance(*by),
            Step::Restore => Vec::new(),
        };
        let emitted = as_expected(std::mem::take(&mut scene.emitted));
        assert_eq!(sorted(emitted), sorted(expected), "{step:?}");
    }
    let (_, emitted) = scene.end();
    assert_eq!(sorted(as_expected(emitted)), sorted(model.end()));
}

proptest! {
    #[test]
    fn triggers_fire_by_definition(
        windows in prop::option::of((1i64..40).prop_flat_map(|size| (Just(size), 1..=size, 0i64..30))),
        kind in prop_oneof![(1usize..6).prop_map(Kind::Count), (1i64..30).prop_map(Kind::Time)],
        purges in any::<bool>(),
        steps in steps(),
    ) {
        let mut model = Model { windows, kind, purges, time: 0, contents: BTreeMap::new() };
        let spans = windows.map(|(size, slide, late)| {
            Windows::sliding(milliseconds(size), milliseconds(slide)).allowed_lateness(milliseconds(late))
        });
        let model = &mut model;
        match (spans, kind, purges) {
            (None, Kind::Count(n), false) => compare(Global, CountTrigger::every(n as u64), model, &steps),
            (None, Kind::Count(n), true) => {
                compare(Global, Purging::new(CountTrigger::every(n as u64)), model, &steps);
            }
            (None, Kind::Time(t), false) => compare(Global, TimeTrigger::every(milliseconds(t)), model, &steps),
            (None, Kind::Time(t), true) => {
                compare(Global, Purging::new(TimeTrigger::every(milliseconds(t))), model, &steps);
            }
            (Some(spans), Kind::Count(n), false) => compare(spans, CountTrigger::every(n as u64), model, &steps),
            (Some(spans), Kind::Count(n), true) => {
                compare(spans, Purging::new(CountTrigger::every(n as u64)), model, &steps);
            }
            (Some(spans), Kind::Time(t), false) => {
                compare(spans, TimeTrigger::every(milliseconds(t)), model, &steps);
            }
            (Some(spans), Kind::Time(t), true) => {
                compare(spans, Purging::new(TimeTrigger::every(milliseconds(t))), model, &steps);
            }
        }
    }
}

#[test]
fn what_are_no_windows_is_refused() {
    let windows = Windows::sliding(Duration::from_secs(1), Duration::from_secs(2));
    let window =
        TriggeredWindow::new(|_: &Record| 0u8, |record: &Record| record.0, windows, CountTrigger::every(1), Collect);
    assert!(crate::workflow::Operation::check(&Processing::new(window)).is_err());
}
