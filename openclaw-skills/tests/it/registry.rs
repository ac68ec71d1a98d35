//! What a registry hands out: ranges, stages, hints, the catalogue, the gate.

use std::time::Duration;

use openclaw_core::{
    Effect, Env, ErrorKind, SkillId, Timestamp, Touches,
    skill::{Deprecation, SkillManifest, SkillSource as _},
};
use openclaw_skills::registry::{MAX_LISTED, Range, Registry, RegistryEvent, Release};
use openclaw_testkit::{
    env::test_env,
    remote::{CountingRemote, RemoteKind, RemoteSkill},
};
use serde_json::{Value, json};

use crate::registry_support::{Heard, KEYED, id, met, over, pay, publish, route, told};

const HOUR: Duration = Duration::from_secs(3_600);

const SHELF: &[(&str, bool)] = &[
    ("1.0.0", false),
    ("1.2.0", false),
    ("1.2.7", false),
    ("1.10.0", false),
    ("1.11.0-rc.1", false),
    ("2.0.0", false),
    ("2.1.0", true),
    ("0.3.1", false),
];

fn shelf() -> Registry {
    let registry = Registry::new(Env::system());
    publish(&registry, SHELF);
    registry
}

#[test]
fn a_range_meets_the_newest_version_that_fits() {
    let registry = shelf();
    for (range, expected) in [
        ("*", "2.0.0"),
        ("1", "1.10.0"),
        ("v1", "1.10.0"),
        ("V2", "2.0.0"),
        ("^1", "1.10.0"),
        ("^1.2", "1.10.0"),
        ("1.2", "1.10.0"),
        ("v1.2", "1.10.0"),
        ("~1.2", "1.2.7"),
        ("1.2.*", "1.2.7"),
        ("=1.2", "1.2.7"),
        ("^1.2.7", "1.10.0"),
        ("1.2.0", "1.2.0"),
        ("v1.2.0", "1.2.0"),
        ("=1.2.0", "1.2.0"),
        (">=1.2, <1.10", "1.2.7"),
        ("<2", "1.10.0"),
        (">1", "2.0.0"),
        ("0", "0.3.1"),
        ("^0.3", "0.3.1"),
        ("2.1.0", "2.1.0"),
        ("1.11.0-rc.1", "1.11.0-rc.1"),
        ("^1.11.0-rc.1", "1.11.0-rc.1"),
    ] {
        assert_eq!(met(&registry, range, &route(1)), expected, "{range}");
    }
}

#[test]
fn what_does_not_fit_or_can_not_be_read_says_so() {
    let registry = shelf();
    for range in ["^1.11", "3", "0.2.0", "2.1", ">5"] {
        let told = met(&registry, range, &route(1));
        assert_eq!(told, "NOT_FOUND: no version of the skill fits", "{range}");
    }
    for range in ["", "one", "v", "1.x.y.z", "^", &"1".repeat(200)] {
        let told = met(&registry, range, &route(1));
        assert!(told.starts_with("VALIDATION_ERROR: this is no range"), "{range}: {told}");
    }
    let missing = registry.find(&id("refund"), None, &route(1));
    assert_eq!(told(missing), "NOT_FOUND: there is no such skill");
}

#[test]
fn a_range_admits_what_it_resolves() {
    let admits =
        |range: &str, version: &str| range.parse::<Range>().expect("a range").admits(version);
    assert!(admits("^0.3", "0.3.9") && !admits("^0.3", "0.4.0"));
    assert!(!admits("*", "1.0.0-rc.1") && !admits("*", "one"));
    assert_eq!("v1".parse::<Range>().expect("a range").to_string(), "^1");
}

#[tokio::test]
async fn a_deprecated_version_works_and_says_so() {
    let heard = Heard::default();
    let registry = heard.on(Registry::builder(Env::system())).open().await.expect("it opens");
    publish(&registry, &[("1.0.0", false)]);
    let sunset = Timestamp::from_millis(9);
    registry
        .deprecate(&id("pay"), "1.0.0", (Some(sunset), Some("pay v2")), "carol")
        .await
        .expect("");
    assert_eq!(met(&registry, "v1", &route(1)), "1.0.0");
    assert_eq!(
        heard.events(),
        [RegistryEvent::Deprecated {
            skill: id("pay"),
            version: "1.0.0".into(),
            sunset: Some(sunset),
            over: true,
            replacement: Some("pay v2".into()),
        }]
    );
}

/// A version whose manifest says since when it is deprecated, for an hour.
fn old(version: &str, since: Timestamp) -> Release {
    let said = Deprecation::since(since).sunset(since.after(HOUR)).replacement("pay v2");
    let manifest = SkillManifest::new(id("pay"), version).effect(KEYED).deprecated(said);
    Release::of(RemoteSkill::new(manifest, CountingRemote::new(RemoteKind::Keyed)))
}

#[tokio::test(start_paused = true)]
async fn a_version_is_deprecated_by_its_manifest_and_its_sunset_is_told() {
    let (env, heard) = (test_env(1), Heard::default());
    let registry = heard.on(Registry::builder(env.clone())).open().await.expect("it opens");
    let since = env.now().after(HOUR);
    registry.publish(old("1.0.0", since)).expect("a new version");
    let mut told = Vec::new();
    for _ in 0..3 {
        assert_eq!(met(&registry, "v1", &route(1)), "1.0.0", "a sunset refuses nothing");
        let listed = registry.versions(&id("pay")).remove(0);
        assert_eq!(registry.search("pay", 1), std::slice::from_ref(&listed));
        told.push((listed.stage.name(), listed.over, heard.events().len()));
        tokio::time::advance(HOUR).await;
    }
    assert_eq!(
        told,
        [("deprecated", false, 0), ("deprecated", false, 1), ("deprecated", true, 2)],
        "nothing before its date"
    );
    let event = |over| RegistryEvent::Deprecated {
        skill: id("pay"),
        version: "1.0.0".into(),
        sunset: Some(since.after(HOUR)),
        over,
        replacement: Some("pay v2".into()),
    };
    assert_eq!(heard.events(), [event(false), event(true)]);
}

#[tokio::test]
async fn what_an_operator_says_counts_before_what_a_manifest_says() {
    let heard = Heard::default();
    let registry = heard.on(Registry::builder(Env::system())).open().await.expect("it opens");
    registry.promote(&id("pay"), "1.0.0", "carol").await.expect_err("not there yet");
    registry.publish(old("1.0.0", Timestamp::from_millis(0))).expect("a new version");
    registry.promote(&id("pay"), "1.0.0", "carol").await.expect("it is there");
    assert_eq!(met(&registry, "v1", &route(1)), "1.0.0");
    assert_eq!(heard.events(), []);
    registry.publish(old("1.1.0", Timestamp::from_millis(0)).draft()).expect("a new version");
    assert_eq!(met(&registry, "v1", &route(1)), "1.0.0", "a draft is one, whatever is said of it");
}

#[tokio::test]
async fn a_retired_version_is_not_found_and_names_what_replaces_it() {
    let registry = Registry::new(Env::system());
    publish(&registry, &[("1.0.0", false), ("1.1.0", false)]);
    registry.retire(&id("pay"), "1.1.0", Some("charge ^1"), "carol").await.expect("it is there");
    assert_eq!(met(&registry, "v1", &route(1)), "1.0.0", "the newest that is left");
    let hint = "NOT_FOUND: this version of the skill is retired: use charge ^1";
    assert_eq!(met(&registry, "1.1.0", &route(1)), hint);
    registry.retire(&id("pay"), "1.0.0", None, "carol").await.expect("it is there");
    assert_eq!(met(&registry, "v1", &route(1)), hint);
    let begun = registry.exact(&id("pay"), "1.1.0").expect("calls that were begun end with it");
    assert_eq!(&*begun.manifest().version, "1.1.0");
    assert!(registry.list(&route(1)).is_empty(), "an agent is not shown it");
}

#[tokio::test]
async fn a_draft_is_met_by_its_number_until_it_is_promoted() {
    let registry = Registry::new(Env::system());
    publish(&registry, &[("1.0.0", false), ("1.1.0", true)]);
    assert_eq!(met(&registry, "v1", &route(1)), "1.0.0");
    assert_eq!(met(&registry, "1.1.0", &route(1)), "1.1.0");
    registry.promote(&id("pay"), "1.1.0", "carol").await.expect("it is there");
    assert_eq!(met(&registry, "v1", &route(1)), "1.1.0");
}

#[test]
fn a_version_is_published_once() {
    let registry = shelf();
    let again = registry.publish(pay("1.2.0")).expect_err("it is there");
    assert_eq!(again.kind(), ErrorKind::Conflict);
    let odd = registry.publish(pay("1.2")).expect_err("no version");
    assert_eq!(odd.kind(), ErrorKind::ValidationError);
}

#[test]
fn a_reconcilable_skill_without_a_hook_is_refused() {
    let manifest = SkillManifest::new(id("pay"), "1.0.0").effect(Effect::Pure);
    let remote = CountingRemote::new(RemoteKind::Keyed);
    let hookless = Hookless(RemoteSkill::new(manifest.effect(Effect::Reconcilable), remote));
    let refused = Registry::new(Env::system()).publish(Release::of(hookless)).expect_err("no hook");
    assert_eq!(refused.message(), "a reconcilable skill needs a reconcile hook");
}

#[derive(Debug)]
struct Hookless(RemoteSkill);

#[async_trait::async_trait]
impl openclaw_core::skill::Skill for Hookless {
    fn manifest(&self) -> &SkillManifest {
        openclaw_core::skill::Skill::manifest(&self.0)
    }

    async fn run(
        &self,
        call: openclaw_core::Call<std::sync::Arc<Value>>,
    ) -> openclaw_core::Result<openclaw_core::skill::SkillAnswer> {
        openclaw_core::skill::Skill::run(&self.0, call).await
    }
}

fn takes(version: &str, input: &Value) -> Release {
    let mut manifest = SkillManifest::new(id("pay"), version).effect(KEYED);
    manifest.input = Some(std::sync::Arc::new(input.clone()));
    Release::of(RemoteSkill::new(manifest, CountingRemote::new(RemoteKind::Keyed)))
}

#[test]
fn a_breaking_change_needs_a_major_number() {
    let schema = |max: u32| json!({"type": "object", "properties": {"qty": {"maximum": max}}});
    let registry = Registry::new(Env::system());
    registry.publish(takes("1.0.0", &schema(100))).expect("the first one");
    for version in ["1.0.1", "1.1.0"] {
        let refused = registry.publish(takes(version, &schema(50))).expect_err("it breaks 1.0.0");
        assert_eq!(refused.kind(), ErrorKind::ValidationError);
        let message = refused.message();
        assert!(
            message.contains("/input/properties/qty/maximum: the bound is sharper"),
            "{message}"
        );
        assert!(
            message.contains(&format!("pay {version} breaks what 1.0.0 promised")),
            "{message}"
        );
    }
    registry.publish(takes("2.0.0", &schema(50))).expect("a new major number");
    registry.publish(takes("1.2.0", &schema(200))).expect("it takes more");
    let between = registry.publish(takes("1.1.0", &schema(300))).expect_err("1.2.0 takes less");
    assert!(between.message().contains("pay 1.2.0 breaks what 1.1.0 promised"), "{between}");
    registry.publish(takes("1.3.0-rc.1", &schema(1))).expect("a pre-release promises nothing");
    assert_eq!(met(&registry, "v1", &route(1)), "1.2.0");
}

#[test]
fn below_one_a_minor_number_may_break() {
    let registry = Registry::new(Env::system());
    registry.publish(takes("0.1.0", &json!({"maximum": 100}))).expect("the first one");
    registry.publish(takes("0.2.0", &json!({"maximum": 50}))).expect("0.2 is not 0.1");
    let refused = registry.publish(takes("0.2.1", &json!({"maximum": 5}))).expect_err("0.2 is 0.2");
    assert_eq!(refused.kind(), ErrorKind::ValidationError);
}

fn listed(name: &str, words: &str, tags: &[&str]) -> Release {
    let manifest = SkillManifest::new(id(name), "1.0.0").describe(words).touches(Touches::WRITES);
    let release = Release::of(RemoteSkill::new(manifest, CountingRemote::new(RemoteKind::Keyed)));
    tags.iter().fold(release, |release, tag| release.tag(*tag))
}

#[test]
fn a_search_finds_by_id_tags_and_words() {
    let registry = Registry::new(Env::system());
    for release in [
        listed("crm.find", "Finds a customer by e-mail", &["customers"]),
        listed("crm.update", "Changes the address of a customer", &["customers", "billing"]),
        listed("mail.send", "Sends an e-mail", &[]),
        listed("shop.refund", "Refunds an order; tells the CRM", &["billing"]),
    ] {
        registry.publish(release).expect("a new skill");
    }
    let found = |query: &str| -> Vec<String> {
        registry.search(query, 10).into_iter().map(|entry| entry.id.to_string()).collect()
    };
    assert_eq!(found("crm"), ["crm.find", "crm.update", "shop.refund"], "ids first");
    assert_eq!(found("BILLING"), ["crm.update", "shop.refund"]);
    assert_eq!(found("custom"), ["crm.find", "crm.update"], "the beginning of a word");
    assert_eq!(found("address customer"), ["crm.update", "crm.find"], "two words are worth more");
    assert_eq!(found("mail"), ["mail.send", "crm.find"], "in the id it is worth more");
    assert_eq!(found("zebra"), Vec::<String>::new());
    assert_eq!(found(""), ["crm.find", "crm.update", "mail.send", "shop.refund"]);
}

#[test]
fn a_search_is_bounded() {
    let registry = Registry::new(Env::system());
    for n in 0..150 {
        registry.publish(listed(&format!("skill.{n:03}"), "", &[])).expect("a new skill");
    }
    assert_eq!(registry.search("skill", usize::MAX).len(), MAX_LISTED);
    let first: Vec<SkillId> = registry.search("skill", 2).into_iter().map(|l| l.id).collect();
    assert_eq!(first, [id("skill.000"), id("skill.001")]);
}

#[test]
fn every_version_is_listed_with_its_stage() {
    let versions = shelf().versions(&id("pay"));
    let stages: Vec<(&str, &str)> =
        versions.iter().map(|entry| (&*entry.version, entry.stage.name())).collect();
    assert_eq!(stages.first(), Some(&("0.3.1", "active")));
    assert_eq!(stages.last(), Some(&("2.1.0", "draft")));
    assert_eq!(stages.len(), SHELF.len());
}

#[test]
fn a_route_is_shown_one_version_of_each_skill_by_id() {
    let registry = shelf();
    registry.publish(listed("crm.find", "", &[])).expect("a new skill");
    let remote = CountingRemote::new(RemoteKind::Keyed);
    registry.publish(Release::of(over("3.0.0", Effect::Pure, &remote))).expect("a new version");
    let shown: Vec<String> = registry
        .list(&route(1))
        .iter()
        .map(|skill| format!("{} {}", skill.manifest().id, skill.manifest().version))
        .collect();
    assert_eq!(shown, ["crm.find 1.0.0", "pay 3.0.0"]);
}
