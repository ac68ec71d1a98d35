//! Loading: all folders with skills, which of two namesakes wins, what is left out.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use super::{
    diagnostic::{Diagnostic, Severity},
    doc::SkillDoc,
    find::{SkillFile, find_skills},
    gate::{Closed, SkillHost, SkillRules, gate},
    script_text::trim,
};

/// Where skills come from; a later one wins over an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum SkillTier {
    /// More folders, and those of plugins.
    Extra,
    /// What comes with the gateway.
    Bundled,
    /// What the gateway wrote itself.
    Workshop,
    /// `skills` in the gateway's state: what was installed.
    Managed,
    /// `.agents/skills` in the person's home.
    Personal,
    /// `.agents/skills` in the workspace.
    Project,
    /// `skills` in the workspace.
    Workspace,
}

/// A folder with skills.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SkillRoot {
    /// How much it counts.
    pub tier: SkillTier,
    /// The folder. It need not be there.
    pub dir: PathBuf,
}

impl SkillRoot {
    /// A folder that counts as much as its tier.
    #[must_use]
    pub fn new(tier: SkillTier, dir: impl Into<PathBuf>) -> Self {
        Self { tier, dir: dir.into() }
    }

    /// The usual folders below a workspace, a home and the gateway's state.
    #[must_use]
    pub fn usual(workspace: &Path, home: &Path, state: &Path) -> Vec<Self> {
        vec![
            Self::new(SkillTier::Workspace, workspace.join("skills")),
            Self::new(SkillTier::Project, workspace.join(".agents").join("skills")),
            Self::new(SkillTier::Personal, home.join(".agents").join("skills")),
            Self::new(SkillTier::Managed, state.join("skills")),
        ]
    }
}

/// How many skills are loaded at most from one folder.
pub const MAX_SKILLS_PER_ROOT: usize = 200;

/// A skill that may be offered.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LoadedSkill {
    /// The name it goes by: its own, or else that of its folder.
    pub name: String,
    /// Where it comes from.
    pub tier: SkillTier,
    /// Its file.
    pub file: SkillFile,
    /// What the file says.
    pub doc: SkillDoc,
    /// What there is to say about it.
    pub diagnostics: Vec<Diagnostic>,
}

impl LoadedSkill {
    /// The full path of its file, without links.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.file.dir().join(super::find::FILE_NAME)
    }
}

/// Why something is not among the skills.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotLoaded {
    /// The file has no description, or can't be read.
    Refused(Vec<Diagnostic>),
    /// Another skill of the same name wins; this is its file.
    Shadowed(PathBuf),
    /// The gate is closed.
    Closed(Closed),
    /// Its root has too many skills.
    TooMany,
    /// It lies where the gateway does not look, or leads out of its folder.
    NotFound(&'static str),
    /// The folder can't be read.
    Unreadable(io::ErrorKind),
}

/// Every skill that may be offered, and everything that may not, with the reason.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct SkillSet {
    /// In the order of their names.
    pub skills: Vec<LoadedSkill>,
    /// By path, in the order in which it was met.
    pub left_out: Vec<(PathBuf, NotLoaded)>,
}

impl SkillSet {
    /// Loads the skills of all roots. Missing folders are no error.
    ///
    /// ```
    /// use openclaw_skills::skill_md::{SkillHost, SkillRules, SkillSet, SkillRoot, SkillTier};
    ///
    /// #[derive(Debug)]
    /// struct Bare;
    /// impl SkillHost for Bare {
    ///     fn os(&self) -> &str { "linux" }
    ///     fn has_program(&self, _: &str) -> bool { false }
    ///     fn has_variable(&self, _: &str) -> bool { false }
    ///     fn has_config(&self, _: &str) -> bool { false }
    /// }
    ///
    /// let dir = tempfile::tempdir()?;
    /// let weather = dir.path().join("weather");
    /// std::fs::create_dir(&weather)?;
    /// let text = "---\nname: weather\ndescription: Forecasts.\n---\nAsk for a place.";
    /// std::fs::write(weather.join("SKILL.md"), text)?;
    ///
    /// let roots = [SkillRoot::new(SkillTier::Workspace, dir.path())];
    /// let set = SkillSet::load(&roots, &SkillRules::default(), &Bare);
    /// assert_eq!(set.skills[0].name, "weather");
    /// assert!(set.left_out.is_empty());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn load(roots: &[SkillRoot], rules: &SkillRules, host: &dyn SkillHost) -> Self {
        let mut roots: Vec<&SkillRoot> = roots.iter().collect();
        roots.sort_by_key(|root| root.tier);
        let mut loader = Loader::default();
        for root in roots {
            loader.root(root);
        }
        loader.end(rules, host)
    }

    /// The skill of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&LoadedSkill> {
        self.skills.iter().find(|skill| skill.name == name)
    }
}

#[derive(Default)]
struct Loader {
    by_name: BTreeMap<String, LoadedSkill>,
    left_out: Vec<(PathBuf, NotLoaded)>,
}

impl Loader {
    fn root(&mut self, root: &SkillRoot) {
        let found = match find_skills(&root.dir) {
            Ok(found) => found,
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    self.left_out.push((root.dir.clone(), NotLoaded::Unreadable(error.kind())));
                }
                return;
            }
        };
        for left_out in found.left_out {
            self.left_out.push((root.dir.join(left_out.path), NotLoaded::NotFound(left_out.why)));
        }
        let mut loaded = 0;
        for file in found.files {
            let path = root.dir.join(&file.path);
            if let Some(why) = file.unseen {
                self.left_out.push((path, NotLoaded::NotFound(why)));
            } else if loaded >= MAX_SKILLS_PER_ROOT {
                self.left_out.push((path, NotLoaded::TooMany));
            } else if self.file(root.tier, file, path) {
                loaded += 1;
            }
        }
    }

    /// Was it a skill?
    fn file(&mut self, tier: SkillTier, file: SkillFile, path: PathBuf) -> bool {
        let bytes = match file.read() {
            Ok(bytes) => bytes,
            Err(diagnostic) => {
                self.left_out.push((path, NotLoaded::Refused(vec![diagnostic])));
                return false;
            }
        };
        let (doc, diagnostics) = SkillDoc::parse(file.folder(), &bytes);
        let text =
            |text: Option<&str>| text.map(trim).filter(|text| !text.is_empty()).map(str::to_owned);
        let name = text(doc.name()).or_else(|| text(file.folder()));
        let (Some(name), true, Some(_)) = (name, doc.is_readable(), text(doc.description())) else {
            let errors = diagnostics.into_iter().filter(|found| found.severity == Severity::Error);
            self.left_out.push((path, NotLoaded::Refused(errors.collect())));
            return false;
        };
        let skill = LoadedSkill { name: name.clone(), tier, file, doc, diagnostics };
        let winner = skill.path();
        if let Some(loser) = self.by_name.insert(name, skill).filter(|loser| loser.path() != winner)
        {
            self.left_out.push((loser.path(), NotLoaded::Shadowed(winner)));
        }
        true
    }

    fn end(mut self, rules: &SkillRules, host: &dyn SkillHost) -> SkillSet {
        let mut skills = Vec::new();
        for (name, skill) in self.by_name {
            match gate(&skill.doc, &name, skill.tier == SkillTier::Bundled, rules, host) {
                Ok(()) => skills.push(skill),
                Err(closed) => self.left_out.push((skill.path(), NotLoaded::Closed(closed))),
            }
        }
        SkillSet { skills, left_out: self.left_out }
    }
}
