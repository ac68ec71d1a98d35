//! Looking for a skill: sticky, at once, and clear about what is not there.

use openclaw_core::{Error, ErrorKind, Happened, SkillId, skill::RouteKey};

use super::{
    Trial,
    trial::{declares_a_hook, met, routes, told},
};
use crate::conformance::run::threads;

/// Texts that somebody could write for a version.
const ODD: [&str; 12] =
    ["", " ", "\0", "1", "v1", "*", "^", "1.0.0\n", "-1.0.0", "1.0.0-", ">=1, <1", "一.二.三"];

/// The same route meets the same version, however often and in whatever order it is asked.
pub fn a_route_meets_the_same_version_again(trial: &Trial<'_>) {
    let ids = trial.ids();
    let ask = |route: RouteKey| -> Vec<_> {
        ids.iter().map(|id| told(trial.find(id, None, &route))).collect()
    };
    let first: Vec<_> = routes().map(ask).collect();
    let mut again: Vec<_> = routes().rev().map(ask).collect();
    again.reverse();
    assert_eq!(again, first, "asked again, in another order");
    for (route, first) in routes().zip(first) {
        assert_eq!(ask(route.clone()), first, "{route:?}, asked a third time");
    }
}

/// Whichever thread asks, a route meets the same version.
pub fn threads_meet_the_same_version(trial: &Trial<'_>) {
    let ids = trial.ids();
    let jobs = (0..4).map(|_| {
        let (source, ids) = (trial.source(), ids.clone());
        move || -> Vec<_> {
            let ask = |route| ids.iter().map(|id| told(source.find(id, None, &route))).collect();
            routes().map(ask).collect::<Vec<Vec<_>>>()
        }
    });
    let here: Vec<Vec<_>> = routes()
        .map(|route| ids.iter().map(|id| told(trial.find(id, None, &route))).collect())
        .collect();
    for there in threads(jobs) {
        assert_eq!(there, here, "met by another thread, and by this one");
    }
}

/// It neither waits nor asks anybody: where nobody may block, it answers.
pub fn a_look_up_waits_for_nobody(trial: &Trial<'_>) {
    // This thread drives a runtime: who blocks on a future here panics.
    for route in routes() {
        for (id, version) in trial.list(&route).iter().map(met) {
            drop(trial.find(&id, None, &route));
            drop(trial.exact(&id, &version));
        }
    }
}

/// A version that is asked for by its number is that version.
pub fn the_version_that_was_asked_for_is_found(trial: &Trial<'_>) {
    for route in routes() {
        for (id, version) in trial.list(&route).iter().map(met) {
            let found = told(trial.find(&id, Some(&version), &route));
            assert_eq!(found, Ok((id, version)), "asked for by {route:?}");
        }
    }
}

/// What is not there is `NOT_FOUND`, skill or version, and nothing happened.
pub fn what_is_not_there_is_not_found(trial: &Trial<'_>) {
    let refused = |id: &SkillId, version: Option<&str>, route: &RouteKey| {
        let error = trial.find(id, version, route).err();
        let error: Error = error.unwrap_or_else(|| panic!("{id} {version:?} is not there"));
        assert_eq!(error.kind(), ErrorKind::NotFound, "{id} {version:?}: {error}");
        assert_eq!(error.happened(), Happened::No, "{error}");
    };
    let unknown = trial.unknown();
    for route in routes() {
        refused(&unknown, None, &route);
        refused(&unknown, Some("1.0.0"), &route);
        for (id, _) in trial.list(&route).iter().map(met) {
            refused(&id, Some("40000000.0.0"), &route);
        }
    }
}

/// What can't be read as a version is a `VALIDATION_ERROR`, and nothing happened.
pub fn what_is_no_version_is_a_validation_error(trial: &Trial<'_>) {
    let text = trial.unreadable().expect("a text");
    for id in trial.ids() {
        for route in routes() {
            let error = trial.find(&id, Some(&text), &route).expect_err("no version");
            assert_eq!(error.kind(), ErrorKind::ValidationError, "{error}");
            assert_eq!(error.happened(), Happened::No, "{error}");
        }
    }
}

/// Whatever is written for a version has an answer: this skill, or a plain refusal.
pub fn odd_versions_are_answered(trial: &Trial<'_>) {
    let long = "1".repeat(100_000);
    let route = RouteKey::new("conversation-1");
    for id in trial.ids().into_iter().chain([trial.unknown()]) {
        for odd in ODD.iter().copied().chain([&*long]) {
            let shown: String = odd.chars().take(20).collect();
            match trial.find(&id, Some(odd), &route) {
                Ok(found) => assert_eq!(found.manifest().id, id, "found by {shown:?}"),
                Err(e) => {
                    let plain = [ErrorKind::NotFound, ErrorKind::ValidationError];
                    let refused = plain.contains(&e.kind()) && e.happened() == Happened::No;
                    assert!(refused, "{shown:?}: {} {:?}", e.kind(), e.happened());
                }
            }
            let exact = trial.exact(&id, odd).map(|skill| met(&skill));
            assert!(exact.is_none_or(|(_, version)| version == odd), "exactly {shown:?}");
        }
    }
}

/// A skill that is declared `Reconcilable` comes with its hook, by whichever way it is had.
pub fn a_declared_hook_comes_along(trial: &Trial<'_>) {
    for skill in trial.all().iter().filter(|skill| declares_a_hook(skill)) {
        assert!(skill.reconcile().is_some(), "{:?} is Reconcilable, by whom?", met(skill));
    }
}
