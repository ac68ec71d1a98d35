//! Exactly one version: a call that was begun with it ends with it.

use super::{
    Trial,
    trial::{met, routes},
};

/// What a new call meets is also found exactly: the call may have to go on with it.
pub fn what_is_met_is_found_exactly(trial: &Trial<'_>) {
    for route in routes() {
        for now in trial.list(&route).iter().map(met) {
            let exact = trial.source().exact(&now.0, &now.1);
            assert_eq!(exact.as_ref().map(met), Some(now), "a call is begun with it");
        }
    }
}

/// What is found exactly is that skill in that version; else nothing is.
pub fn exactly_one_version_is_found_or_none(trial: &Trial<'_>) {
    let all = trial.all();
    let numbers = || all.iter().map(|skill| met(skill).1);
    for id in trial.ids() {
        for version in numbers() {
            let found = trial.exact(&id, &version).map(|skill| met(&skill));
            let wanted = (id.clone(), version);
            assert!(found.is_none() || found.as_ref() == Some(&wanted), "{wanted:?} is {found:?}");
        }
        for none in ["40000000.0.0", "", "*", "^1"] {
            let found = trial.exact(&id, none).map(|skill| met(&skill));
            assert!(found.is_none(), "{none:?} is no version of {id}, and yet {found:?}");
        }
    }
    for version in numbers() {
        assert!(trial.exact(&trial.unknown(), &version).is_none(), "a skill that is not there");
    }
}

/// A version that new calls do not meet any more is there for the calls that it began.
pub fn a_call_ends_with_the_version_that_began_it(trial: &Trial<'_>) {
    for begun in trial.begun() {
        let found = trial.exact(&begun.0, &begun.1).map(|skill| met(&skill));
        assert_eq!(found, Some(begun), "a call was begun with it");
    }
}

/// A version that is over is met by no new call, and no list shows it.
pub fn new_calls_do_not_meet_what_is_over(trial: &Trial<'_>) {
    for begun in trial.begun() {
        for route in routes() {
            let found = trial.find(&begun.0, None, &route).ok().map(|skill| met(&skill));
            assert_ne!(found.as_ref(), Some(&begun), "met by {route:?}");
            let listed = trial.list(&route).iter().any(|skill| met(skill) == begun);
            assert!(!listed, "{begun:?} is shown to {route:?}");
        }
    }
}
