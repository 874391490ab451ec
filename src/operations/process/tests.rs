//! A process whose states are saved now and then, wherever they are, beside one that is let alone.

use proptest::prelude::*;

use super::*;
use crate::id::VertexId;

/// Says how many records of a key there were when ten times have passed since the first; forgets it then.
#[derive(Clone)]
struct Bursts;

impl Process for Bursts {
    /// A key, and a time.
    type In = (u16, Timestamp);
    type Out = (u16, Timestamp, u64);
    type Key = u16;
    type State = u64;

    fn key(&self, (key, _): &Self::In) -> u16 {
        *key
    }

    fn record<E: Emit<Self::Out>>(&self, at: &mut AtKey<'_, Self>, (_, time): Self::In, _: &mut E) -> Result<()> {
        if at.state().is_none() {
            at.set_timer(time.max(at.time()) + 10);
        }
        *at.state().get_or_insert(0) += 1;
        Ok(())
    }

    fn timer<E: Emit<Self::Out>>(&self, at: &mut AtKey<'_, Self>, time: Timestamp, emit: &mut E) -> Result<()> {
        let count = at.state().take().unwrap_or_default();
        emit.emit((*at.key(), time, count));
        Ok(())
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// Records of so many keys from this one on.
    Records(u16, u16),
    /// Time goes on.
    Advance(Timestamp),
    /// Begins to save.
    Save,
    /// Ends with that, and goes on with what was saved if nothing has happened meanwhile.
    Saved,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (0u16..300, 1u16..120).prop_map(|(from, count)| Step::Records(from, count)),
        3 => (0i64..8).prop_map(Step::Advance),
        2 => Just(Step::Save),
        2 => Just(Step::Saved),
    ]
}

type Emitted = Vec<(u16, Timestamp, u64)>;

struct Scene {
    operation: Processing<Bursts>,
    entries: ByHand<Entries<Bursts>>,
    saving: Option<Snapshot>,
    has_changed: bool,
    emitted: Emitted,
}

impl Scene {
    fn new(storage: Storage) -> Scene {
        let operation = Processing::new(Bursts).stored(storage);
        let entries = operation.init();
        Scene { operation, entries, saving: None, has_changed: false, emitted: Vec::new() }
    }

    fn follow(&mut self, number: u64, time: Timestamp, step: &Step, saves: bool) -> Result<()> {
        let Scene { operation, entries, saving, has_changed, emitted } = self;
        match step {
            Step::Records(from, count) => {
                *has_changed = true;
                (*from..from + count).try_for_each(|key| operation.react(entries, (key, time), emitted))?;
            }
            Step::Advance(_) => {
                *has_changed = true;
                operation.advance(entries, time, emitted)?;
            }
            Step::Save if saves => {
                let mut snapshot = Snapshot::new(number);
                snapshot.of(VertexId(0));
                let done = operation.snapshot_in_slices(entries, &mut snapshot)? == Saving::Done;
                (*saving, *has_changed) = (Some(snapshot), false);
                if done {
                    self.restore()?;
                }
            }
            Step::Saved => {
                if let Some(mut snapshot) = saving.take() {
                    while operation.snapshot_in_slices(entries, &mut snapshot)? == Saving::More {}
                    *saving = Some(snapshot);
                    self.restore()?;
                }
            }
            Step::Save => {}
        }
        Ok(())
    }

    fn restore(&mut self) -> Result<()> {
        let Some(snapshot) = self.saving.take() else { return Ok(()) };
        let saved = snapshot.finish().into_saved(0)?;
        let restored = self.operation.restore(&saved)?;
        if !self.has_changed {
            self.entries = restored;
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]

    #[test]
    fn states_and_timers_are_what_they_were(steps in prop::collection::vec(step(), 1..40)) {
        let mut scenes = vec![(Scene::new(Storage::Memory), false), (Scene::new(Storage::Memory), true)];
        #[cfg(feature = "disk")]
        scenes.push((Scene::new(Storage::Disk { memory: Some(1 << 14) }), true));
        let mut time = 0;
        for (number, step) in (1..).zip(&steps) {
            if let Step::Advance(by) = step {
                time += by;
            }
            for (scene, saves) in &mut scenes {
                scene.follow(number, time, step, *saves).expect("no failure");
            }
        }
        let emitted = |(mut scene, _): (Scene, bool)| {
            scene.operation.finish(&mut scene.entries, &mut scene.emitted).expect("no failure");
            scene.emitted.sort_unstable();
            scene.emitted
        };
        let emitted: Vec<Emitted> = scenes.into_iter().map(emitted).collect();
        for other in &emitted[1..] {
            prop_assert_eq!(&emitted[0], other);
        }
    }
}

/// Gives how many records of a key there were when the clock has gone on by ten since the last of them; forgets what
/// nothing has come of for that long.
#[derive(Clone)]
struct Pauses;

impl Process for Pauses {
    type In = u16;
    type Out = (u16, u64);
    type Key = u16;
    type State = u64;
    const NEEDS_TIME: bool = false;
    const FOLLOWS_CLOCK: bool = true;

    fn key(&self, key: &u16) -> u16 {
        *key
    }

    fn time_to_live(&self) -> Option<Duration> {
        Some(Duration::from_millis(100))
    }

    fn record<E: Emit<Self::Out>>(&self, at: &mut AtKey<'_, Self>, _: u16, _: &mut E) -> Result<()> {
        at.clock_timers().into_iter().for_each(|time| at.cancel_clock_timer(time));
        at.set_clock_timer(at.clock() + 10);
        *at.state().get_or_insert(0) += 1;
        Ok(())
    }

    fn clock_timer<E: Emit<Self::Out>>(&self, at: &mut AtKey<'_, Self>, _: Timestamp, emit: &mut E) -> Result<()> {
        let count = at.state().unwrap_or_default();
        emit.emit((*at.key(), count));
        Ok(())
    }
}

#[test]
fn timers_by_the_clock_come_when_it_shows_their_time_and_states_are_forgotten() {
    let mut fed = crate::testing::Fed::new(Processing::new(Pauses)).expect("nothing to refuse");
    let begin = 1_000_000;
    assert_eq!(fed.tick(begin), Ok(vec![]));
    assert_eq!(fed.record(7), Ok(vec![]));
    assert_eq!(fed.tick(begin + 9), Ok(vec![]));
    assert_eq!(fed.record(7), Ok(vec![]), "its timer is set anew");
    assert_eq!(fed.tick(begin + 15), Ok(vec![]));
    fed.restore().expect("restored");
    assert_eq!(fed.tick(begin + 19), Ok(vec![(7, 2)]));
    fed.restore().expect("restored");
    assert_eq!(fed.tick(begin + 108), Ok(vec![]));
    // Who is told of the clock anew is as far as that.
    assert_eq!(fed.record(7), Ok(vec![]));
    assert_eq!(fed.tick(begin + 118), Ok(vec![(7, 3)]));
    fed.restore().expect("restored");
    assert_eq!(fed.tick(begin + 208), Ok(vec![]), "the life of the key ends");
    assert_eq!(fed.record(7), Ok(vec![]));
    assert_eq!(fed.tick(begin + 218), Ok(vec![(7, 1)]));
}

/// Counts the records of a key that come at times no more than ten apart.
#[derive(Clone)]
struct Lately;

impl Process for Lately {
    type In = u16;
    type Out = (u16, u64);
    type Key = u16;
    type State = u64;

    fn key(&self, key: &u16) -> u16 {
        *key
    }

    fn time_to_live(&self) -> Option<Duration> {
        Some(Duration::from_millis(10))
    }

    fn record<E: Emit<Self::Out>>(&self, at: &mut AtKey<'_, Self>, key: u16, emit: &mut E) -> Result<()> {
        let count = at.state().get_or_insert(0);
        *count += 1;
        let count = *count;
        at.set_timer(at.time() + 10_000);
        emit.emit((key, count));
        Ok(())
    }

    fn timer<E: Emit<Self::Out>>(&self, at: &mut AtKey<'_, Self>, time: Timestamp, emit: &mut E) -> Result<()> {
        emit.emit((*at.key(), time as u64));
        Ok(())
    }
}

proptest! {
    #[test]
    fn a_state_is_forgotten_when_nothing_comes_for_its_life(
        steps in prop::collection::vec((0u16..5, 0i64..12, any::<bool>()), 1..60),
    ) {
        let mut fed = crate::testing::Fed::new(Processing::new(Lately)).expect("nothing to refuse");
        let mut model = std::collections::BTreeMap::<u16, (u64, Timestamp)>::new();
        let mut time = 0;
        fed.advance(time).expect("advanced");
        for (key, by, restores) in steps {
            time += by;
            model.retain(|_, (_, last)| *last + 10 > time);
            // Timers are forgotten, too: none comes.
            prop_assert_eq!(fed.advance(time), Ok(vec![]));
            if restores {
                fed.restore().expect("restored");
            }
            let (count, last) = model.entry(key).or_default();
            (*count, *last) = (*count + 1, time);
            prop_assert_eq!(fed.record(key), Ok(vec![(key, *count)]));
        }
    }
}

/// Forgets, but by no time.
#[derive(Clone)]
struct Timeless;

impl Process for Timeless {
    type In = u16;
    type Out = u16;
    type Key = u16;
    type State = u16;
    const NEEDS_TIME: bool = false;

    fn key(&self, key: &u16) -> u16 {
        *key
    }

    fn time_to_live(&self) -> Option<Duration> {
        Some(Duration::from_secs(1))
    }

    fn record<E: Emit<u16>>(&self, _: &mut AtKey<'_, Self>, record: u16, emit: &mut E) -> Result<()> {
        emit.emit(record);
        Ok(())
    }
}

#[test]
fn a_life_that_no_time_ends_is_refused() {
    let error = Processing::new(Timeless).check().expect_err("refused").to_string();
    assert!(error.contains("`NEEDS_TIME` or `FOLLOWS_CLOCK`"), "{error}");
}
