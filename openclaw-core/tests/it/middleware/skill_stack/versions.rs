//! Which version a call meets: by its run at first, by its record from then on.

use std::sync::Mutex;

use openclaw_core::skill::{RouteKey, Skill, SkillManifest, SkillSource};
use openclaw_testkit::{fault::Fault, remote::Behaviour};
use tokio::time::sleep;

use super::*;

/// Versions of `pay`, each with a remote of its own; the last one is met by new calls.
#[derive(Clone, Debug, Default)]
struct Shelf {
    versions: Arc<Mutex<Vec<RemoteSkill>>>,
    routes: Arc<Mutex<Vec<RouteKey>>>,
}

impl Shelf {
    fn add(&self, version: &str) -> CountingRemote {
        let remote = CountingRemote::new(RemoteKind::Keyed);
        let manifest = SkillManifest::new(id("pay"), version).effect(Effect::AtMostOnce);
        self.versions.lock().unwrap().push(RemoteSkill::new(manifest, remote.clone()));
        remote
    }

    fn drop_first(&self) {
        self.versions.lock().unwrap().remove(0);
    }
}

impl SkillSource for Shelf {
    fn list(&self, _: &RouteKey) -> Vec<Arc<dyn Skill>> {
        let last = self.versions.lock().unwrap().last().cloned();
        last.into_iter().map(|skill| Arc::new(skill) as Arc<dyn Skill>).collect()
    }

    fn find(&self, id: &SkillId, _: Option<&str>, route: &RouteKey) -> Result<Arc<dyn Skill>> {
        self.routes.lock().unwrap().push(route.clone());
        let missing = || Error::new(ErrorKind::NotFound, "not on the shelf");
        self.list(route).pop().filter(|skill| skill.manifest().id == *id).ok_or_else(missing)
    }

    fn exact(&self, _: &SkillId, version: &str) -> Option<Arc<dyn Skill>> {
        let versions = self.versions.lock().unwrap();
        let found = versions.iter().find(|skill| *skill.manifest().version == *version)?;
        Some(Arc::new(found.clone()))
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_ends_with_the_version_that_began_it() {
    for label in ["claim", "dispatch", "settle"] {
        let (bank, shelf) = (Bank::new(RemoteKind::Keyed), Shelf::default());
        let start = || bank.bare(|b| b.skills(shelf.clone()));
        let old = shelf.add("1.0.0");
        let stack = start();
        // It is claimed, and no more is known.
        let next = if label == "claim" { "dispatch" } else { label };
        bank.plan.next(next, 1, Fault::Fail);
        pay(&stack, "1").await.unwrap_err();
        let new = shelf.add("1.1.0");
        // Behind the lease of the process that is gone.
        sleep(31 * S).await;
        let outcome = pay(&start(), "1").await;
        assert_eq!(new.calls_total(), 0, "{label}");
        assert_eq!(&*record(&start(), "1").await.version.unwrap(), "1.0.0");
        match label {
            "settle" => assert_eq!(reason(&outcome), Some(Reason::InDoubt)),
            _ => drop(outcome.unwrap()),
        }
        assert_eq!(old.effects_total(), 1, "{label}");
        pay(&start(), "2").await.unwrap();
        assert_eq!(new.effects_total(), 1, "a new key meets the new version");
    }
}

#[tokio::test(start_paused = true)]
async fn only_what_was_never_sent_and_never_approved_goes_over_to_another_version() {
    let (bank, shelf) = (Bank::new(RemoteKind::Keyed), Shelf::default());
    let free = || bank.bare(|b| b.skills(shelf.clone()));
    let strict = || bank.bare(|b| b.skills(shelf.clone()).authorizer(one()));
    let old = shelf.add("1.0.0");
    bank.plan.next("dispatch", 2, Fault::Fail);
    pay(&free(), "unsent").await.unwrap_err();
    let request = asked(pay(&strict(), "approved").await);
    says(&strict(), "bob", &request, Vote::yes()).await.unwrap();
    pay(&strict(), "approved").await.unwrap_err();
    old.script([Behaviour::LoseAnswer]);
    bank.plan.next("park", 1, Fault::Fail);
    pay(&free(), "sent").await.unwrap_err();
    assert_eq!(record(&free(), "sent").await.state.name(), "unknown");
    let new = shelf.add("1.1.0");
    shelf.drop_first();
    sleep(31 * S).await;

    pay(&free(), "unsent").await.unwrap();
    assert_eq!(&*record(&free(), "unsent").await.version.unwrap(), "1.1.0");
    let e = pay(&strict(), "approved").await.unwrap_err();
    assert_eq!(
        (e.kind(), e.happened(), e.is_exhausted()),
        (ErrorKind::Conflict, Happened::No, true)
    );
    assert_eq!(record(&strict(), "approved").await.state.name(), "claimed");
    assert_eq!(reason(&pay(&free(), "sent").await), Some(Reason::InDoubt));
    assert_eq!(record(&free(), "sent").await.state.name(), "parked");
    assert_eq!((old.effects_total(), new.effects_total()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn without_its_skill_a_call_ends_as_it_is_recorded() {
    let (bank, shelf) = (Bank::new(RemoteKind::Keyed), Shelf::default());
    let start = || bank.bare(|b| b.skills(shelf.clone()));
    let old = shelf.add("1.0.0");
    let paid = pay(&start(), "done").await.unwrap();
    bank.plan.next("dispatch", 1, Fault::Fail);
    pay(&start(), "unsent").await.unwrap_err();
    old.script([Behaviour::LoseAnswer]);
    bank.plan.next("park", 1, Fault::Fail);
    pay(&start(), "sent").await.unwrap_err();
    shelf.drop_first();
    sleep(31 * S).await;

    assert_eq!(pay(&start(), "done").await.unwrap(), paid);
    assert_eq!(pay(&start(), "unsent").await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(reason(&pay(&start(), "sent").await), Some(Reason::InDoubt));
    assert_eq!(pay(&start(), "new").await.unwrap_err().kind(), ErrorKind::NotFound);
    let other = SkillRequest::new(id("pay"), "pay", json!(8));
    let other = start().run("done").call(&ann(), other).await;
    assert_eq!(reason(&other), Some(Reason::KeyReused));
}

#[tokio::test(start_paused = true)]
async fn a_version_that_another_process_began_meanwhile_is_met_at_the_next_call() {
    let (bank, shelf) = (Bank::new(RemoteKind::Keyed), Shelf::default());
    let start = || bank.bare(|b| b.skills(shelf.clone()).authorizer(one()));
    let old = shelf.add("1.0.0");
    let (here, there) = (start(), start());
    let request = asked(pay(&there, "1").await);
    says(&there, "bob", &request, Vote::yes()).await.unwrap();
    let new = shelf.add("1.1.0");
    let asks_anew = asked(pay(&here, "1").await);
    assert_ne!(asks_anew, request, "a yes is for one version");
    says(&here, "bob", &asks_anew, Vote::yes()).await.unwrap();
    pay(&here, "1").await.unwrap();
    assert_eq!((old.effects_total(), new.effects_total()), (0, 1));
    pay(&there, "1").await.unwrap();
    assert_eq!((old.effects_total(), new.effects_total()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn runs_of_one_route_meet_one_version() {
    let (bank, shelf) = (Bank::new(RemoteKind::Keyed), Shelf::default());
    shelf.add("1.0.0");
    let stack = bank.bare(|b| b.skills(shelf.clone()));
    pay(&stack, "1").await.unwrap();
    let route = RouteKey::new("conversation-7");
    stack.run("2").route(route.clone()).call(&ann(), seven()).await.unwrap();
    assert_eq!(*shelf.routes.lock().unwrap(), [RouteKey::new("1"), route]);
}
