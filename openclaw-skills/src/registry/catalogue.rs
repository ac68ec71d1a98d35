//! The catalogue: what there is, found by words.

use std::{cmp::Reverse, sync::Arc};

use openclaw_core::{SkillId, Timestamp, records::Stage};

use super::{
    Registry, is_over,
    line::{Line, Slot},
    range::Range,
    release::{Published, words_of},
};

/// Entries of one answer at most.
pub const MAX_LISTED: usize = 100;

/// Words of a query that are looked at.
const MAX_WORDS: usize = 16;

/// What a word is worth in the id, among the tags, in the description.
const WORTH: [u32; 3] = [8, 4, 1];

/// A version of a skill as a catalogue shows it; a search shows the newest that everybody meets.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CatalogueEntry {
    /// Its name.
    pub id: SkillId,
    /// The version.
    pub version: Arc<str>,
    /// Where the version stands.
    pub stage: Stage,
    /// Has its sunset passed? It works all the same, until somebody [retires](Registry::retire) it.
    pub over: bool,
    /// What it is for.
    pub description: Arc<str>,
    /// Its tags, in order.
    pub tags: Vec<Arc<str>>,
}

impl Registry {
    /// The skills that these words are about, the best first, then by id. At most 100.
    ///
    /// A word counts in the id, among the tags and in the description, whole or by how it begins.
    /// Without a word all skills are listed.
    #[must_use]
    pub fn search(&self, query: &str, limit: usize) -> Vec<CatalogueEntry> {
        let wanted: Vec<String> = words_of(query).into_iter().take(MAX_WORDS).collect();
        let mut found: Vec<(Reverse<u32>, SkillId, Shown)> = self
            .shown()
            .into_iter()
            .map(|shown| (Reverse(worth(&wanted, &shown.0)), shown.0.id().clone(), shown))
            .filter(|(Reverse(worth), ..)| wanted.is_empty() || *worth > 0)
            .collect();
        found.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
        found.truncate(limit.min(MAX_LISTED));
        let now = self.0.env.now();
        found.into_iter().map(|(_, _, shown)| entry(shown, now)).collect()
    }

    /// Every version of a skill with where it stands, in order.
    #[must_use]
    pub fn versions(&self, skill: &SkillId) -> Vec<CatalogueEntry> {
        let table = self.0.table();
        let slots = table.get(skill).map(Line::slots).unwrap_or_default();
        let now = self.0.env.now();
        slots.iter().map(|slot| entry(show(slot), now)).collect()
    }

    /// The newest version of each skill. No word is compared while the table is held.
    fn shown(&self) -> Vec<Shown> {
        let table = self.0.table();
        table.values().filter_map(|line| line.newest(&Range::ANY, None)).map(show).collect()
    }
}

type Shown = (Arc<Published>, Stage);

fn show(slot: &Slot) -> Shown {
    (Arc::clone(&slot.published), slot.stage.clone())
}

fn entry((published, stage): Shown, now: Timestamp) -> CatalogueEntry {
    let manifest = published.skill.manifest();
    CatalogueEntry {
        id: manifest.id.clone(),
        version: Arc::clone(&manifest.version),
        over: is_over(&stage, now),
        stage,
        description: Arc::clone(&manifest.description),
        tags: published.tags.iter().map(Arc::clone).collect(),
    }
}

/// How well a version fits the words.
fn worth(wanted: &[String], published: &Published) -> u32 {
    let of = |word: &String| {
        let fits = published.words.iter().zip(WORTH).map(|(there, worth)| {
            // The first word from here on begins with it, if any does.
            match there.range(word.clone()..).next() {
                Some(same) if same == word => 2 * worth,
                Some(longer) if longer.starts_with(word.as_str()) => worth,
                _ => 0,
            }
        });
        fits.sum::<u32>()
    };
    wanted.iter().map(of).sum()
}
