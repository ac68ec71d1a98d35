//! What a model is told, and that it is bounded.

use std::fs;

use openclaw_skills::skill_md::{
    MAX_PROMPT_CHARS, MAX_SKILLS_IN_PROMPT, SkillCatalog, SkillHost, SkillRoot, SkillRules,
    SkillSet, SkillTier,
};
use tempfile::TempDir;

#[derive(Debug)]
struct Anywhere;

impl SkillHost for Anywhere {
    fn os(&self) -> &str {
        "linux"
    }
    fn has_program(&self, _: &str) -> bool {
        false
    }
    fn has_variable(&self, _: &str) -> bool {
        false
    }
    fn has_config(&self, _: &str) -> bool {
        false
    }
}

/// The catalogue of these many skills, each with its description.
fn catalog(count: usize, description: &str) -> SkillCatalog {
    let dir = TempDir::new().expect("a folder");
    for at in 0..count {
        let folder = dir.path().join(format!("s{at:03}"));
        fs::create_dir(&folder).expect("a folder is made");
        let text = format!("---\nname: s{at:03}\ndescription: {description}\n---\n");
        fs::write(folder.join("SKILL.md"), text).expect("a file is written");
    }
    let roots = [SkillRoot::new(SkillTier::Extra, dir.path())];
    let catalog = SkillSet::load(&roots, &SkillRules::default(), &Anywhere).catalog();
    assert!(catalog.text.chars().count() <= MAX_PROMPT_CHARS);
    assert_eq!(catalog.listed.len() + catalog.left_out.len(), count);
    assert_eq!(catalog.text.matches("<skill>").count(), catalog.listed.len());
    catalog
}

#[test]
fn a_few_skills_are_listed_whole() {
    let catalog = catalog(3, "b & <c> \"d\"");
    assert_eq!(catalog.listed, ["s000", "s001", "s002"]);
    assert_eq!(catalog.shortened_to, None);
    assert!(catalog.text.contains("<description>b &amp; &lt;c&gt; &quot;d&quot;</description>"));
    assert!(catalog.text.contains("s001/SKILL.md</location>"));
}

#[test]
fn without_skills_there_is_nothing_to_tell() {
    assert_eq!(catalog(0, "b"), SkillCatalog::default());
    assert_eq!(catalog(2, "b\ndisable-model-invocation: false").listed.len(), 2);
}

#[test]
fn long_descriptions_are_shortened_as_little_as_needed() {
    let catalog = catalog(60, &"word ".repeat(100));
    assert_eq!(catalog.listed.len(), 60);
    let longest = catalog.shortened_to.expect("they are shortened");
    assert!((50..220).contains(&longest), "{longest}");
    assert!(catalog.text.chars().count() > MAX_PROMPT_CHARS - 60 * 6);
    assert!(catalog.text.contains("word...</description>"));
}

#[test]
fn more_skills_than_fit_are_named() {
    let catalog = catalog(MAX_SKILLS_IN_PROMPT + 5, "b");
    assert!(catalog.listed.len() <= MAX_SKILLS_IN_PROMPT);
    assert!(catalog.left_out.contains(&"s154".to_owned()));
}

#[test]
fn a_skill_for_people_only_is_not_told_to_the_model() {
    let dir = TempDir::new().expect("a folder");
    let text = "---\nname: a\ndescription: b\ndisable-model-invocation: true\n---\n";
    fs::write(dir.path().join("SKILL.md"), text).expect("a file is written");
    let roots = [SkillRoot::new(SkillTier::Extra, dir.path())];
    let set = SkillSet::load(&roots, &SkillRules::default(), &Anywhere);
    assert_eq!(set.skills.len(), 1);
    assert_eq!(set.catalog().listed.len(), 0);
}
