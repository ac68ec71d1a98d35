//! Loading: which skill of a name wins, which gate is open, and why the rest is left out.

use std::{collections::BTreeSet, fs, path::Path};

use openclaw_skills::skill_md::{
    Closed, MAX_SKILLS_PER_ROOT, NotLoaded, SkillEntry, SkillHost, SkillRoot, SkillRules, SkillSet,
    SkillTier,
};
use tempfile::TempDir;

/// A place with what the lists name.
#[derive(Debug)]
struct Place {
    os: &'static str,
    programs: &'static [&'static str],
    variables: &'static [&'static str],
    config: &'static [&'static str],
}

const BARE: Place = Place { os: "linux", programs: &[], variables: &[], config: &[] };

impl SkillHost for Place {
    fn os(&self) -> &str {
        self.os
    }
    fn has_program(&self, name: &str) -> bool {
        self.programs.contains(&name)
    }
    fn has_variable(&self, name: &str) -> bool {
        self.variables.contains(&name)
    }
    fn has_config(&self, path: &str) -> bool {
        self.config.contains(&path)
    }
}

fn put(dir: &Path, folder: &str, lines: &str) {
    let folder = dir.join(folder);
    fs::create_dir_all(&folder).expect("a folder is made");
    fs::write(folder.join("SKILL.md"), format!("---\n{lines}\n---\n")).expect("a file is written");
}

/// One skill with this metadata, behind the gate of this place.
fn closed(metadata: &str, rules: &SkillRules, place: &Place) -> Option<Closed> {
    closed_in(SkillTier::Workspace, metadata, rules, place)
}

fn closed_in(tier: SkillTier, metadata: &str, rules: &SkillRules, place: &Place) -> Option<Closed> {
    let dir = TempDir::new().expect("a folder");
    put(dir.path(), "a", &format!("name: a\ndescription: b\nmetadata:\n  openclaw: {metadata}"));
    let set = SkillSet::load(&[SkillRoot::new(tier, dir.path())], rules, place);
    if let [(_, NotLoaded::Closed(closed))] = set.left_out.as_slice() {
        return Some(closed.clone());
    }
    assert_eq!(set.left_out, []);
    assert!(set.get("a").is_some());
    None
}

#[test]
fn the_nearer_root_wins_and_the_other_is_named() {
    let dir = TempDir::new().expect("a folder");
    let tiers = [
        SkillTier::Workspace,
        SkillTier::Project,
        SkillTier::Personal,
        SkillTier::Managed,
        SkillTier::Workshop,
        SkillTier::Bundled,
        SkillTier::Extra,
    ];
    let roots: Vec<SkillRoot> = tiers
        .iter()
        .enumerate()
        .map(|(at, tier)| SkillRoot::new(*tier, dir.path().join(at.to_string())))
        .collect();
    // The skill `sN` stands in the roots from N on.
    for (at, root) in roots.iter().enumerate() {
        for name in 0..=at {
            put(&root.dir, &format!("s{name}"), &format!("name: s{name}\ndescription: from {at}"));
        }
    }
    let set = SkillSet::load(&roots, &SkillRules::default(), &BARE);
    assert_eq!(set.skills.len(), tiers.len());
    for (at, tier) in tiers.iter().enumerate() {
        let skill = set.get(&format!("s{at}")).expect("it is loaded");
        assert_eq!(skill.tier, *tier);
        assert_eq!(skill.doc.description(), Some(format!("from {at}").as_str()));
    }
    let shadowed =
        set.left_out.iter().filter(|(_, why)| matches!(why, NotLoaded::Shadowed(_))).count();
    assert_eq!(shadowed, 6 + 5 + 4 + 3 + 2 + 1);
    assert_eq!(set.left_out.len(), shadowed);
    let winner = set.get("s0").expect("it is loaded").path();
    assert!(set.left_out.contains(&(
        dir.path().canonicalize().expect("it is there").join("1/s0/SKILL.md"),
        NotLoaded::Shadowed(winner)
    )));
}

#[test]
fn of_equal_roots_the_later_wins() {
    let (one, two) = (TempDir::new().expect("a folder"), TempDir::new().expect("a folder"));
    put(one.path(), "a", "name: a\ndescription: one");
    put(two.path(), "a", "name: a\ndescription: two");
    let roots = [
        SkillRoot::new(SkillTier::Extra, one.path()),
        SkillRoot::new(SkillTier::Extra, two.path()),
    ];
    let set = SkillSet::load(&roots, &SkillRules::default(), &BARE);
    assert_eq!(set.get("a").and_then(|skill| skill.doc.description()), Some("two"));
}

#[test]
fn the_usual_roots_are_found_below_three_folders() {
    let dir = TempDir::new().expect("a folder");
    let at = |name: &str| dir.path().join(name);
    put(&at("work/skills"), "a", "name: a\ndescription: b");
    put(&at("work/.agents/skills"), "b", "name: b\ndescription: b");
    put(&at("home/.agents/skills"), "c", "name: c\ndescription: b");
    put(&at("state/skills"), "d", "name: d\ndescription: b");
    let roots = SkillRoot::usual(&at("work"), &at("home"), &at("state"));
    let set = SkillSet::load(&roots, &SkillRules::default(), &BARE);
    let names: Vec<&str> = set.skills.iter().map(|skill| skill.name.as_str()).collect();
    assert_eq!(names, ["a", "b", "c", "d"]);
}

#[test]
fn a_skill_without_a_name_has_that_of_its_folder() {
    let dir = TempDir::new().expect("a folder");
    put(dir.path(), "weather", "description: b");
    let set = SkillSet::load(
        &[SkillRoot::new(SkillTier::Extra, dir.path())],
        &SkillRules::default(),
        &BARE,
    );
    assert!(set.get("weather").is_some());
}

#[test]
fn what_can_not_be_used_is_left_out_with_its_errors() {
    let dir = TempDir::new().expect("a folder");
    put(dir.path(), "a", "name: a");
    put(dir.path(), "b", "name: b: c");
    put(dir.path(), "c", "name: c\ndescription: d");
    put(dir.path(), "c/inner", "name: inner\ndescription: d");
    let set = SkillSet::load(
        &[SkillRoot::new(SkillTier::Extra, dir.path())],
        &SkillRules::default(),
        &BARE,
    );
    assert_eq!(set.skills.len(), 1);
    let codes: Vec<&str> = set
        .left_out
        .iter()
        .map(|(_, why)| match why {
            NotLoaded::Refused(errors) => errors[0].code,
            NotLoaded::NotFound(_) => "not-found",
            _ => "otherwise",
        })
        .collect();
    assert_eq!(codes, ["description-missing", "yaml-invalid", "not-found"]);
}

#[test]
fn a_root_has_a_bound() {
    let dir = TempDir::new().expect("a folder");
    for at in 0..=MAX_SKILLS_PER_ROOT {
        put(dir.path(), &format!("s{at:03}"), &format!("name: s{at:03}\ndescription: b"));
    }
    let set = SkillSet::load(
        &[SkillRoot::new(SkillTier::Extra, dir.path())],
        &SkillRules::default(),
        &BARE,
    );
    assert_eq!(set.skills.len(), MAX_SKILLS_PER_ROOT);
    assert_eq!(set.left_out, [(dir.path().join("s200/SKILL.md"), NotLoaded::TooMany)]);
}

#[test]
fn programs_variables_and_configuration_open_the_gate() {
    let rules = SkillRules::default();
    let full =
        Place { os: "linux", programs: &["git", "jq"], variables: &["KEY"], config: &["x.y"] };
    let needs = "{requires: {bins: [git, jq], anyBins: [no, jq], env: [KEY], config: [x.y]}}";
    assert_eq!(closed(needs, &rules, &full), None);
    for (missing, why) in [
        (Place { programs: &["jq"], ..full }, Closed::NoProgram("git".to_owned())),
        (Place { programs: &["git"], ..full }, Closed::NoProgram("jq".to_owned())),
        (Place { variables: &[], ..full }, Closed::NoVariable("KEY".to_owned())),
        (Place { config: &["x"], ..full }, Closed::NoConfig("x.y".to_owned())),
    ] {
        assert_eq!(closed(needs, &rules, &missing), Some(why));
    }
    let any = "{requires: {anyBins: [a, b]}}";
    assert_eq!(
        closed(any, &rules, &BARE),
        Some(Closed::NoneOf(vec!["a".to_owned(), "b".to_owned()]))
    );
}

#[test]
fn always_passes_over_what_is_missing_but_not_over_the_system() {
    let rules = SkillRules::default();
    assert_eq!(closed("{always: true, requires: {bins: [git]}}", &rules, &BARE), None);
    let elsewhere = Some(Closed::WrongSystem("linux".to_owned()));
    assert_eq!(closed("{always: true, os: [darwin, win32]}", &rules, &BARE), elsewhere);
    assert_eq!(closed("{os: [darwin]}", &rules, &Place { os: "darwin", ..BARE }), None);
}

#[test]
fn a_configured_key_stands_for_the_primary_variable_only() {
    let mut rules = SkillRules::default();
    let mut entry = SkillEntry::default();
    entry.has_api_key = true;
    entry.variables = BTreeSet::from(["OTHER".to_owned()]);
    rules.entries.insert("k".to_owned(), entry);
    let needs = |env: &str| format!("{{skillKey: k, primaryEnv: KEY, requires: {{env: [{env}]}}}}");
    assert_eq!(closed(&needs("KEY, OTHER"), &rules, &BARE), None);
    assert_eq!(
        closed(&needs("THIRD"), &rules, &BARE),
        Some(Closed::NoVariable("THIRD".to_owned()))
    );
    let without = "{skillKey: k, requires: {env: [KEY]}}";
    assert_eq!(closed(without, &rules, &BARE), Some(Closed::NoVariable("KEY".to_owned())));
}

#[test]
fn a_configuration_switches_skills_off() {
    let mut rules = SkillRules::default();
    let mut entry = SkillEntry::default();
    entry.enabled = Some(false);
    rules.entries.insert("a".to_owned(), entry);
    assert_eq!(closed("{always: true}", &rules, &BARE), Some(Closed::Disabled));
    // The key is the skill's own word, if it has one.
    assert_eq!(closed("{skillKey: k}", &rules, &BARE), None);
}

#[test]
fn lists_of_the_host_and_of_the_agent_hold() {
    let names = |name: &str| BTreeSet::from([name.to_owned()]);
    let mut rules = SkillRules::default();
    rules.allow_bundled = names("b");
    assert_eq!(closed_in(SkillTier::Bundled, "{}", &rules, &BARE), Some(Closed::NotAllowed));
    assert_eq!(closed_in(SkillTier::Bundled, "{skillKey: b}", &rules, &BARE), None);
    assert_eq!(closed_in(SkillTier::Workspace, "{}", &rules, &BARE), None);
    let mut rules = SkillRules::default();
    rules.agent_skills = Some(names("b"));
    assert_eq!(closed("{}", &rules, &BARE), Some(Closed::NotOfAgent));
    rules.agent_skills = Some(names("a"));
    assert_eq!(closed("{}", &rules, &BARE), None);
}
