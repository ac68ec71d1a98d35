//! The state machine of effects: a property over random histories, and the plan as a table.

use std::{sync::Arc, time::Duration};

use openclaw_core::{
    Effect, Error, ErrorKind, Happened, Timestamp,
    records::{EffectState, Event, Plan, plan},
    skill::SkillAnswer,
};
use proptest::prelude::*;
use serde_json::json;

fn failure(happened: Happened) -> Event {
    Event::Failed(Arc::new(Error::new(ErrorKind::ValidationError, "no").with_happened(happened)))
}

/// What a history is made of.
fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0..1000_u64).prop_map(|ms| Event::Dispatch { at: Timestamp::from_millis(ms) }),
        2 => Just(Event::Succeeded(SkillAnswer::done(json!(1)))),
        2 => Just(Event::NotSent),
        2 => Just(Event::Lost),
        1 => Just(Event::DidNotHappen),
        1 => Just(failure(Happened::No)),
        1 => Just(failure(Happened::Yes)),
        1 => Just(Event::Park("a test".into())),
        1 => Just(Event::Decided(None)),
        1 => Just(Event::Decided(Some(SkillAnswer::done(json!(2))))),
    ]
}

/// What a history knows of the world: kept apart from the machine, to judge it.
#[derive(Debug, Default)]
struct World {
    /// The try on its way, if there is one.
    open: bool,
    /// An earlier try may have happened.
    doubt: bool,
    /// When the oldest try that may have happened was sent.
    since: Option<Timestamp>,
}

impl World {
    fn see(&mut self, event: &Event) {
        match event {
            Event::Dispatch { at } => {
                self.doubt |= self.open;
                self.open = true;
                self.since.get_or_insert(*at);
            }
            Event::NotSent => self.open = false,
            Event::Lost => {
                self.doubt |= self.open;
                self.open = false;
            }
            Event::DidNotHappen | Event::Decided(None) => *self = Self::default(),
            _ => {}
        }
        if !self.open && !self.doubt {
            self.since = None;
        }
    }

    const fn may_have_happened(&self) -> bool {
        self.open || self.doubt
    }
}

const fn first_at(state: &EffectState) -> Option<Timestamp> {
    match state {
        EffectState::Dispatching { first_at, .. }
        | EffectState::Unknown { first_at, .. }
        | EffectState::Parked { first_at, .. } => Some(*first_at),
        _ => None,
    }
}

/// Plays a history and hands every step to `law`: state before, event, state after, the world.
fn histories(law: impl Fn(&EffectState, &Event, &EffectState, &World)) {
    proptest!(ProptestConfig::with_cases(2000), |(events in prop::collection::vec(event(), 1..24))| {
        let (mut state, mut world) = (EffectState::NEW, World::default());
        for event in events {
            let Ok(next) = state.after(event.clone()) else { continue };
            world.see(&event);
            law(&state, &event, &next, &world);
            state = next;
        }
    });
}

#[test]
fn an_end_never_moves_but_by_a_decision_on_a_parked_one() {
    histories(|before, event, after, _| {
        let decided = matches!(event, Event::Decided(_));
        let parked = matches!(before, EffectState::Parked { .. });
        assert!(!before.is_final() || (parked && decided), "{before:?} {event:?} {after:?}");
    });
}

#[test]
fn nothing_is_done_that_was_not_dispatched() {
    histories(|before, event, after, _| {
        if matches!(after, EffectState::Done { .. }) {
            assert!(before.is_in_doubt(), "{before:?} {event:?}");
        }
    });
}

#[test]
fn what_may_have_happened_never_counts_as_not_sent() {
    histories(|before, event, after, world| {
        let denied = match after {
            EffectState::Claimed { .. } => true,
            EffectState::Failed { happened, .. } => *happened == Happened::No && world.doubt,
            _ => false,
        };
        assert!(!(denied && world.may_have_happened()), "{before:?} {event:?} {after:?}");
    });
}

#[test]
fn the_date_of_the_first_send_stays_while_that_send_is_in_doubt() {
    histories(|before, event, after, world| {
        if let Some(first) = first_at(after).filter(|_| world.may_have_happened()) {
            assert_eq!(Some(first), world.since, "{before:?} {event:?} {after:?}");
        }
    });
}

#[test]
fn only_a_failure_that_happened_ends_a_doubt() {
    let at = Timestamp::from_millis(1);
    let sent = EffectState::NEW.after(Event::Dispatch { at }).unwrap();
    let doubts = [sent.after(Event::Dispatch { at }).unwrap(), sent.after(Event::Lost).unwrap()];
    for (happened, state) in
        [(Happened::No, "unknown"), (Happened::Maybe, "unknown"), (Happened::Yes, "failed")]
    {
        for doubt in &doubts {
            let after = doubt.after(failure(happened)).unwrap();
            assert_eq!(after.name(), state, "{doubt:?} {happened:?}");
        }
    }
}

#[test]
fn an_event_that_does_not_fit_is_named() {
    let at = Timestamp::from_millis(1);
    let answer = || SkillAnswer::done(json!(1));
    let sent = EffectState::NEW.after(Event::Dispatch { at }).unwrap();
    let done = sent.after(Event::Succeeded(answer())).unwrap();
    let events = [
        (Event::Dispatch { at }, "dispatched"),
        (Event::Succeeded(answer()), "done"),
        (Event::NotSent, "given back"),
        (Event::DidNotHappen, "ruled out"),
        (failure(Happened::No), "failed"),
        (Event::Lost, "lost"),
        (Event::Park("a test".into()), "parked"),
        (Event::Decided(None), "decided"),
    ];
    for (event, name) in events {
        let e = done.after(event).unwrap_err();
        assert_eq!(e.to_string(), format!("an effect that is done can't be {name}"));
    }
}

#[test]
fn the_plan_is_the_crash_matrix() {
    let t = Timestamp::from_millis;
    let retention = Duration::from_millis(100);
    let classes = [
        Effect::Pure,
        Effect::Keyed { retention },
        Effect::Reconcilable,
        Effect::AtLeastOnce,
        Effect::AtMostOnce,
    ];
    let dispatching = |first_at| EffectState::NEW.after(Event::Dispatch { at: first_at }).unwrap();
    let unknown = |first_at| dispatching(first_at).after(Event::Lost).unwrap();
    // Per class: what is planned for a state in doubt, young and old.
    let (send, ask, park) = ("Dispatch", "Reconcile", "Park");
    let young = [send, send, ask, send, park];
    let old = [send, park, ask, send, park];
    let name = |plan: Plan| format!("{plan:?}").split('(').next().unwrap().to_owned();
    for (class, (young, old)) in classes.into_iter().zip(young.into_iter().zip(old)) {
        for in_doubt in [dispatching(t(1000)), unknown(t(1000))] {
            assert_eq!(name(plan(&in_doubt, class, t(1099))), young, "{class:?} {in_doubt:?}");
            assert_eq!(name(plan(&in_doubt, class, t(1100))), old, "{class:?} {in_doubt:?}");
        }
        assert_eq!(plan(&EffectState::NEW, class, t(0)), Plan::Dispatch);
        let done = dispatching(t(0)).after(Event::Succeeded(SkillAnswer::done(json!(1))));
        let parked = dispatching(t(0)).after(Event::Park("a test".into()));
        for end in [done.unwrap(), parked.unwrap()] {
            assert_eq!(plan(&end, class, t(0)), Plan::Replay, "{class:?} {end:?}");
        }
    }
}
