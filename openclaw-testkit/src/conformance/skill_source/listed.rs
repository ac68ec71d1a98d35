//! The list: in order, and as a route meets it.

use super::{
    Trial,
    trial::{met, routes, told},
};

/// A list has each skill once, in the order of the ids.
pub fn a_list_is_in_the_order_of_ids(trial: &Trial<'_>) {
    for route in routes() {
        let ids: Vec<_> = trial.list(&route).iter().map(|skill| met(skill).0).collect();
        assert!(ids.is_sorted_by(|one, next| one < next), "{route:?} is shown {ids:?}");
    }
}

/// What a list shows is what a new call of the route meets, version and all.
pub fn what_is_listed_is_what_is_found(trial: &Trial<'_>) {
    for route in routes() {
        for listed in trial.list(&route) {
            let (id, version) = met(&listed);
            let found = told(trial.find(&id, None, &route));
            assert_eq!(found, Ok((id, version)), "found for {route:?}, and listed");
        }
    }
}

/// What a new call of a route meets is in the route's list.
pub fn what_is_found_is_listed(trial: &Trial<'_>) {
    let ids = trial.ids();
    for route in routes() {
        let listed: Vec<_> = trial.list(&route).iter().map(met).collect();
        let found = ids.iter().filter_map(|id| trial.find(id, None, &route).ok());
        for found in found.map(|skill| met(&skill)) {
            assert!(listed.contains(&found), "{found:?} is not among {listed:?}");
        }
    }
}
