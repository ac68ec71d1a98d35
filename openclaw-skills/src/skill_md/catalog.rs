//! The catalogue of skills that a model reads: names, descriptions, and the files' places.

use super::{
    load::{LoadedSkill, SkillSet},
    script_text::is_blank,
};

/// How many skills a model is told of.
pub const MAX_SKILLS_IN_PROMPT: usize = 150;

/// How many characters it is told about them.
pub const MAX_PROMPT_CHARS: usize = 18_000;

/// The longest description when not all fit, and the shortest worth having.
const SHORT: std::ops::RangeInclusive<usize> = 4..=220;

/// What a model is told about its skills.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SkillCatalog {
    /// The text; empty without skills.
    pub text: String,
    /// The names of the skills in it.
    pub listed: Vec<String>,
    /// The names of those for which there was no room.
    pub left_out: Vec<String>,
    /// How long descriptions may be in it; `None` when all are whole.
    pub shortened_to: Option<usize>,
}

impl SkillSet {
    /// The catalogue of all skills that the model may choose.
    ///
    /// Whole descriptions if they fit, else shorter ones, else names alone, and at last fewer skills.
    #[must_use]
    pub fn catalog(&self) -> SkillCatalog {
        let all: Vec<&LoadedSkill> =
            self.skills.iter().filter(|skill| skill.doc.invocation().by_model).collect();
        let skills = all.get(..MAX_SKILLS_IN_PROMPT).unwrap_or(&all);
        let fits = |count: usize, longest: Option<usize>| {
            let listed = skills.get(..count).unwrap_or_default();
            let text = render(listed, longest);
            (text.chars().count() <= MAX_PROMPT_CHARS).then_some(text)
        };
        let most = |range: std::ops::RangeInclusive<usize>, fits: &dyn Fn(usize) -> bool| {
            let (low, high) = range.into_inner();
            let count = (high + 1).saturating_sub(low);
            let steps: Vec<usize> = (0..count).collect();
            low + steps.partition_point(|step| fits(low + step)).saturating_sub(1)
        };
        let (count, longest) = if fits(skills.len(), None).is_some() {
            (skills.len(), None)
        } else {
            let count = most(0..=skills.len(), &|count| fits(count, Some(0)).is_some());
            let short = fits(count, Some(*SHORT.start())).is_some();
            let longest = if short {
                most(SHORT, &|longest| fits(count, Some(longest)).is_some())
            } else {
                0
            };
            (count, Some(longest))
        };
        let names =
            |skills: &[&LoadedSkill]| skills.iter().map(|skill| skill.name.clone()).collect();
        let (listed, left_out) = all.split_at_checked(count).unwrap_or((&all, &[]));
        SkillCatalog {
            text: fits(count, longest).unwrap_or_default(),
            listed: names(listed),
            left_out: names(left_out),
            shortened_to: longest,
        }
    }
}

fn render(skills: &[&LoadedSkill], longest: Option<usize>) -> String {
    if skills.is_empty() {
        return String::new();
    }
    let mut text =
        "These skills hold instructions for special tasks. When a task fits one, read its file \
                    first. Paths in it begin at its folder.\n\n<available_skills>\n"
            .to_owned();
    for skill in skills {
        let description = skill.doc.description().unwrap_or_default();
        let description = match longest {
            Some(longest) => shortened(description, longest),
            None => description.to_owned(),
        };
        text.push_str("  <skill>\n");
        element(&mut text, "name", &skill.name);
        if !description.is_empty() {
            element(&mut text, "description", &description);
        }
        element(&mut text, "location", &skill.path().display().to_string());
        text.push_str("  </skill>\n");
    }
    text.push_str("</available_skills>");
    text
}

fn element(text: &mut String, name: &str, content: &str) {
    text.push_str(&format!("    <{name}>"));
    for c in content.chars() {
        match c {
            '&' => text.push_str("&amp;"),
            '<' => text.push_str("&lt;"),
            '>' => text.push_str("&gt;"),
            '"' => text.push_str("&quot;"),
            '\'' => text.push_str("&apos;"),
            other => text.push(other),
        }
    }
    text.push_str(&format!("</{name}>\n"));
}

/// On one line, with dots where it was cut.
fn shortened(description: &str, longest: usize) -> String {
    let words: Vec<&str> = description.split(is_blank).filter(|word| !word.is_empty()).collect();
    let line = words.join(" ");
    if line.chars().count() <= longest {
        return line;
    }
    if longest <= 3 {
        return line.chars().take(longest).collect();
    }
    let cut: String = line.chars().take(longest - 3).collect();
    format!("{}...", cut.trim_end())
}
