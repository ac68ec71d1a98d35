//! Packages run as they were approved, or not at all.

use std::sync::Arc;

use openclaw_core::{
    Digest, Env, ErrorKind,
    records::{AuditAction, AuditLog, Drift, Pins, Sheet, Standing},
    skill::SkillSource as _,
    store::{MemoryStore, SharedStore},
};
use openclaw_skills::registry::{Registry, manifest_digest};
use openclaw_testkit::{
    env::test_env,
    fault::{FaultStore, Plan, Power},
};

use crate::registry_support::{id, met, operators, pay, route};

struct Desk {
    env: Env,
    store: SharedStore,
}

impl Desk {
    fn new() -> Self {
        let env = test_env(1);
        Self { store: Arc::new(MemoryStore::new(env.clock())), env }
    }

    fn pins(&self) -> Pins {
        Pins::new(self.env.clone(), Arc::clone(&self.store), operators())
    }

    async fn trail(&self) -> Vec<(AuditAction, String, String)> {
        let log = AuditLog::new(Arc::clone(&self.store), operators());
        let entries = log.entries().await.expect("the store answers").into_iter();
        entries.map(|e| (e.action, e.subject.to_string(), e.note.to_string())).collect()
    }
}

/// The package of `pay` with these files.
fn sheet(version: &str, files: &[(&str, &[u8])]) -> Sheet {
    let sheet = Sheet::new(manifest_digest(pay(version).manifest()));
    files.iter().fold(sheet, |sheet, (path, content)| {
        sheet.file(path, Digest::sha256(content)).expect("a new path")
    })
}

const GOOD: &[(&str, &[u8])] = &[("main.py", b"print()"), ("SKILL.md", b"# Pay")];
const BAD: &[(&str, &[u8])] = &[("main.py", b"steal()"), ("extra.sh", b"curl")];

#[tokio::test]
async fn a_package_is_disabled_until_somebody_approves_it() {
    let desk = Desk::new();
    let (registry, pins) = (Registry::new(desk.env.clone()), desk.pins());
    let good = sheet("1.0.0", GOOD);
    let standing = registry.publish_pinned(pay("1.0.0"), &good, &pins).await.expect("it is added");
    assert_eq!(standing, Standing::New);
    let denied = "PERMISSION_DENIED: the skill is disabled: nobody has approved it so far";
    for range in ["v1", "1.0.0", "*"] {
        assert_eq!(met(&registry, range, &route(1)), denied, "{range}");
    }
    assert!(registry.exact(&id("pay"), "1.0.0").is_none(), "not even for a call that was begun");
    assert!(registry.list(&route(1)).is_empty());

    let held = pins.held().await.expect("the store answers");
    assert_eq!((held.len(), &*held[0].package), (1, "pay@1.0.0"));
    pins.approve("pay@1.0.0", held[0].digest, "carol").await.expect("it is held");
    let standing = registry.vet(&id("pay"), "1.0.0", &good, &pins).await.expect("it answers");
    assert_eq!((standing, met(&registry, "v1", &route(1))), (Standing::Approved, "1.0.0".into()));
}

#[tokio::test]
async fn a_changed_package_is_disabled_at_the_next_start_and_names_what_changed() {
    let desk = Desk::new();
    let good = sheet("1.0.0", GOOD);
    desk.pins().check("pay@1.0.0", &good).await.expect("it answers");
    desk.pins().approve("pay@1.0.0", good.digest(), "carol").await.expect("it is held");

    let next = Registry::new(desk.env.clone());
    let bad = sheet("1.0.0", BAD);
    let standing = next.publish_pinned(pay("1.0.0"), &bad, &desk.pins()).await.expect("added");
    let drift = vec![
        Drift::Removed("SKILL.md".into()),
        Drift::Added("extra.sh".into()),
        Drift::Changed("main.py".into()),
    ];
    assert_eq!(standing, Standing::Changed(drift));
    let denied = "PERMISSION_DENIED: the skill is disabled: it is not what was approved: \
                  SKILL.md removed, extra.sh added, main.py changed";
    assert_eq!(met(&next, "v1", &route(1)), denied);
    // As long as it differs nothing more is written; each finding is one entry.
    next.vet(&id("pay"), "1.0.0", &bad, &desk.pins()).await.expect("it answers");
    let trail = desk.trail().await;
    let actions: Vec<&AuditAction> = trail.iter().map(|(action, ..)| action).collect();
    use AuditAction::{PackageApproved, PackageHeld};
    assert_eq!(actions, [&PackageHeld, &PackageApproved, &PackageHeld]);
    let (_, subject, note) = &trail[2];
    assert_eq!(subject, "pay@1.0.0");
    assert!(note.ends_with("SKILL.md removed, extra.sh added, main.py changed"), "{note}");
    // The good content is still good.
    let back = next.vet(&id("pay"), "1.0.0", &good, &desk.pins()).await.expect("it answers");
    assert_eq!((back, met(&next, "v1", &route(1))), (Standing::Approved, "1.0.0".into()));
}

#[tokio::test]
async fn an_approval_is_for_the_content_that_was_seen() {
    let desk = Desk::new();
    let (good, bad) = (sheet("1.0.0", GOOD), sheet("1.0.0", BAD));
    let pins = desk.pins();
    let nothing = pins.approve("pay@1.0.0", good.digest(), "carol").await.expect_err("not held");
    assert_eq!(nothing.kind(), ErrorKind::NotFound);
    pins.check("pay@1.0.0", &good).await.expect("it answers");
    pins.check("pay@1.0.0", &bad).await.expect("it was changed since she looked");
    let stale = pins.approve("pay@1.0.0", good.digest(), "carol").await.expect_err("stale");
    assert_eq!(stale.kind(), ErrorKind::Conflict);
    assert_eq!(pins.check("pay@1.0.0", &bad).await.expect("it answers"), Standing::New);
}

#[tokio::test]
async fn a_package_that_can_not_be_looked_up_does_not_run() {
    let desk = Desk::new();
    let good = sheet("1.0.0", GOOD);
    let plan = Plan::new(Power::on());
    let broken: SharedStore = Arc::new(FaultStore::new(Arc::clone(&desk.store), plan.clone()));
    let pins = Pins::new(desk.env.clone(), broken, operators());
    pins.check("pay@1.0.0", &good).await.expect("it answers");
    pins.approve("pay@1.0.0", good.digest(), "carol").await.expect("it is held");
    let registry = Registry::new(desk.env.clone());
    registry.publish_pinned(pay("1.0.0"), &good, &pins).await.expect("it is approved");
    assert_eq!(met(&registry, "v1", &route(1)), "1.0.0");
    plan.fail("get");
    registry.vet(&id("pay"), "1.0.0", &good, &pins).await.expect_err("the store is away");
    assert!(met(&registry, "v1", &route(1)).starts_with("PERMISSION_DENIED"));
}

#[test]
fn a_sheet_is_the_same_in_any_order_and_differs_by_any_byte() {
    let reversed: Vec<(&str, &[u8])> = GOOD.iter().rev().copied().collect();
    assert_eq!(sheet("1.0.0", GOOD).digest(), sheet("1.0.0", &reversed).digest());
    assert_ne!(sheet("1.0.0", GOOD).digest(), sheet("1.0.1", GOOD).digest(), "the manifest");
    let moved: &[(&str, &[u8])] = &[("main.pyp", b"rint()"), ("SKILL.md", b"# Pay")];
    assert_ne!(sheet("1.0.0", GOOD).digest(), sheet("1.0.0", moved).digest());
    let twice = sheet("1.0.0", GOOD).file("main.py", Digest::sha256(b""));
    assert_eq!(twice.expect_err("it is there").kind(), ErrorKind::ValidationError);
}

#[tokio::test]
async fn a_sheet_of_another_manifest_is_refused() {
    let desk = Desk::new();
    let registry = Registry::new(desk.env.clone());
    let other = sheet("1.0.1", GOOD);
    let refused = registry.publish_pinned(pay("1.0.0"), &other, &desk.pins()).await;
    assert_eq!(refused.expect_err("another one").kind(), ErrorKind::ValidationError);
}
