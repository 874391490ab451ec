//! Sessions that are kept for longer, and given early: against groups of records.

use super::*;

/// Records of a key that are near each other.
#[derive(Clone, Debug)]
struct Group {
    records: Vec<Record>,
    ended: bool,
    early: Timestamp,
}

/// Sessions by definition: groups of records, looked through from the first to the last each time.
struct Model {
    gap: i64,
    late: i64,
    early: i64,
    time: Timestamp,
    groups: Vec<Group>,
}

impl Group {
    fn window(&self, gap: i64) -> Window {
        let times = || self.records.iter().map(|record| record.0);
        Window { start: times().min().unwrap_or_default(), end: times().max().unwrap_or_default() + gap }
    }
}

type Expected = Outcome<(Window, u8, Vec<u32>, Firing), Record>;

impl Model {
    fn result(&self, group: &Group, firing: Firing) -> Expected {
        let key = group.records.first().map_or(0, |record| record.1);
        Outcome::Result((group.window(self.gap), key, numbers(&group.records), firing))
    }

    /// The first multiple behind now, or behind a time that is ahead.
    fn next_early(&self, time: Timestamp) -> Timestamp {
        (time.max(self.time).div_euclid(self.early) + 1) * self.early
    }

    fn record(&mut self, record: Record) -> Vec<Expected> {
        let is_near = |group: &Group| {
            let near = |other: &Record| other.1 == record.1 && (other.0 - record.0).abs() < self.gap;
            group.records.iter().any(near)
        };
        let (near, others): (Vec<_>, Vec<_>) = std::mem::take(&mut self.groups).into_iter().partition(is_near);
        self.groups = others;
        if near.is_empty() && record.0 + self.gap + self.late <= self.time {
            return vec![Outcome::Late(record)];
        }
        let had_ended = near.iter().any(|group| group.ended);
        let early = near.iter().map(|group| group.early).min().unwrap_or_else(|| self.next_early(record.0));
        let records = near.into_iter().flat_map(|group| group.records).chain([record]).collect();
        let mut group = Group { records, ended: false, early };
        group.ended = group.window(self.gap).end <= self.time;
        let mut expected = Vec::new();
        if group.ended {
            expected.push(self.result(&group, Firing::Late));
        } else if had_ended {
            group.early = self.next_early(self.time);
        }
        self.groups.push(group);
        expected
    }

    fn advance(&mut self, by: i64) -> Vec<Expected> {
        self.time += by;
        let mut expected = Vec::new();
        let mut groups = std::mem::take(&mut self.groups);
        for group in &mut groups {
            let has_ended = group.window(self.gap).end <= self.time;
            if has_ended && !group.ended {
                expected.push(self.result(group, Firing::OnTime));
            } else if !has_ended && group.early <= self.time {
                expected.push(self.result(group, Firing::Early));
                group.early = self.next_early(self.time);
            }
            group.ended = has_ended;
        }
        groups.retain(|group| group.window(self.gap).end + self.late > self.time);
        self.groups = groups;
        expected
    }

    fn end(&self) -> Vec<Expected> {
        let open = self.groups.iter().filter(|group| !group.ended);
        open.map(|group| self.result(group, Firing::OnTime)).collect()
    }
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

fn sorted(mut outcomes: Vec<Expected>) -> Vec<Expected> {
    outcomes.sort_by_key(|outcome| format!("{outcome:?}"));
    outcomes
}

proptest! {
    #[test]
    fn sessions_are_kept_and_given_early(
        gap in 1i64..20,
        late in 0i64..40,
        early in prop_oneof![Just(1i64 << 40), 1i64..30],
        steps in steps(),
    ) {
        let (key, time): (fn(&Record) -> u8, fn(&Record) -> i64) = (|record| record.1, |record| record.0);
        let how = Gap::of(milliseconds(gap)).allowed_lateness(milliseconds(late)).early_every(milliseconds(early));
        let mut scene = Scene::new(Processing::new(SessionWindow::new(key, time, how, Collect)));
        let mut model = Model { gap, late, early, time: 0, groups: Vec::new() };
        for step in &steps {
            scene.act(step);
            let expected = match step {
                Step::Record(..) => model.record(scene.records.last().copied().unwrap_or_default()),
                Step::Advance(by) => model.advance(*by),
                Step::Restore => Vec::new(),
            };
            let emitted = as_expected(std::mem::take(&mut scene.emitted));
            prop_assert_eq!(sorted(emitted), sorted(expected), "{:?}", step);
        }
        let (_, emitted) = scene.end();
        prop_assert_eq!(sorted(as_expected(emitted)), sorted(model.end()));
    }
}
