//! Finding skills below a folder.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use super::{diagnostic::Diagnostic, doc::MAX_FILE_BYTES, open::read_below};

/// How many folders deep the gateway looks for a skill.
pub const MAX_FOLDER_DEPTH: usize = 6;

/// How deep is looked at all, to tell what the gateway does not see.
const MAX_WALK_DEPTH: usize = 16;

/// How many entries of folders are looked at.
const MAX_ENTRIES: usize = 100_000;

/// The name of a skill's file.
pub(super) const FILE_NAME: &str = "SKILL.md";

/// Every SKILL.md below a folder, and what was left out.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct FoundSkills {
    /// In the order of their paths.
    pub files: Vec<SkillFile>,
    /// In the order in which they were met.
    pub left_out: Vec<LeftOut>,
}

/// A SKILL.md that was found.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SkillFile {
    /// Its path below the folder that was searched, with `/`.
    pub path: String,
    /// Why the gateway does not find it, if it does not.
    pub unseen: Option<&'static str>,
    root: PathBuf,
    /// Below `root`, without links.
    real: PathBuf,
}

/// Something that is not loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeftOut {
    /// Where it is.
    pub path: String,
    /// Why.
    pub why: &'static str,
}

impl SkillFile {
    /// The name of the folder it stands in.
    #[must_use]
    pub fn folder(&self) -> Option<&str> {
        let parent = self.path.rsplit_once('/').map(|(parent, _)| parent);
        match parent {
            Some(parent) => parent.rsplit('/').next(),
            None => self.root.file_name().and_then(|name| name.to_str()),
        }
    }

    /// The folder it stands in, without links.
    #[must_use]
    pub fn dir(&self) -> PathBuf {
        let path = self.root.join(&self.real);
        path.parent().map(Path::to_path_buf).unwrap_or_default()
    }

    /// Its bytes. What was a file may be a link by now, or too large: then it is refused.
    ///
    /// # Errors
    ///
    /// A diagnostic that says why it can't be read.
    pub fn read(&self) -> Result<Vec<u8>, Diagnostic> {
        read_below(&self.root, &self.real, MAX_FILE_BYTES).map_err(|error| match error.kind() {
            io::ErrorKind::FileTooLarge => Diagnostic::error(
                "too-large",
                format!("the file has more than {MAX_FILE_BYTES} bytes"),
            ),
            _ => Diagnostic::error("unreadable", format!("the file can't be read: {error}")),
        })
    }

    /// What to say about the place it was found in.
    #[must_use]
    pub fn diagnostic(&self) -> Option<Diagnostic> {
        self.unseen.map(|why| Diagnostic::warning("not-found-by-gateway", why))
    }
}

/// Finds every SKILL.md below a folder.
///
/// Folders whose names begin with a dot, and `node_modules`, are not looked into. A link is followed
/// if it stays below the folder. Whatever is passed over and may hold a SKILL.md is told.
///
/// # Errors
///
/// The folder itself can't be read.
pub fn find_skills(dir: &Path) -> io::Result<FoundSkills> {
    let root = dir.canonicalize()?;
    fs::read_dir(&root)?;
    let mut finder =
        Finder { root, entries: 0, seen: BTreeSet::new(), found: FoundSkills::default() };
    let real = finder.root.clone();
    finder.folder(Place { shown: "", real: &real, depth: 0, unseen: None });
    let mut found = finder.found;
    found.files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

struct Finder {
    root: PathBuf,
    entries: usize,
    /// Folders without links, so that no circle is walked.
    seen: BTreeSet<PathBuf>,
    found: FoundSkills,
}

#[derive(Clone, Copy)]
struct Place<'a> {
    /// Below the root, as a person sees it.
    shown: &'a str,
    real: &'a Path,
    depth: usize,
    unseen: Option<&'static str>,
}

impl Finder {
    fn leave_out(&mut self, path: &str, why: &'static str) {
        self.found.left_out.push(LeftOut { path: path.to_owned(), why });
    }

    fn folder(&mut self, place: Place<'_>) {
        if !self.seen.insert(place.real.to_path_buf()) {
            return self.leave_out(place.shown, "a link leads to a folder that was read already");
        }
        let Ok(entries) = fs::read_dir(place.real) else {
            return self.leave_out(place.shown, "the folder can't be read");
        };
        let mut names = Vec::new();
        for entry in entries {
            self.entries += 1;
            if self.entries > MAX_ENTRIES {
                return self.leave_out(place.shown, "there are too many files");
            }
            match entry.map(|entry| entry.file_name().into_string()) {
                Ok(Ok(name)) => names.push(name),
                Ok(Err(_)) => self.leave_out(place.shown, "a name is not Unicode"),
                Err(_) => self.leave_out(place.shown, "an entry of the folder can't be read"),
            }
        }
        names.sort_unstable();
        let is_skill = names.iter().any(|name| name == FILE_NAME);
        if is_skill {
            self.file(place);
        }
        let mut unseen = place.unseen;
        if place.depth >= MAX_FOLDER_DEPTH {
            unseen = unseen.or(Some("the gateway looks six folders deep"));
        }
        if is_skill {
            unseen = unseen.or(Some("the gateway does not look below a folder that is a skill"));
        }
        for name in &names {
            self.child(Place { unseen, ..place }, name);
        }
    }

    fn child(&mut self, parent: Place<'_>, name: &str) {
        let path = parent.real.join(name);
        let shown = join(parent.shown, name);
        // Behind a link: what it leads to.
        match fs::metadata(&path) {
            Ok(kind) if kind.is_dir() => {}
            // Of a SKILL.md that is a link to nowhere it is told already.
            Err(_) if name != FILE_NAME => {
                let why = "it can't be looked at, or is a link that leads nowhere";
                return self.leave_out(&shown, why);
            }
            _ => return,
        }
        if let Some(why) = passed_over(name) {
            return self.leave_out(&shown, why);
        }
        let real = if path.is_symlink() {
            match self.inside(&path) {
                Some(real) => real,
                None => return self.leave_out(&shown, "the link leads out of the folder"),
            }
        } else {
            path
        };
        if parent.depth >= MAX_WALK_DEPTH {
            return self.leave_out(&shown, "the folder lies too deep");
        }
        self.folder(Place {
            shown: &shown,
            real: &real,
            depth: parent.depth + 1,
            unseen: parent.unseen,
        });
    }

    /// Where a link leads, if that is below the root.
    fn inside(&self, path: &Path) -> Option<PathBuf> {
        path.canonicalize().ok().filter(|real| real.starts_with(&self.root))
    }

    fn file(&mut self, place: Place<'_>) {
        let shown = join(place.shown, FILE_NAME);
        let Some(real) = self.inside(&place.real.join(FILE_NAME)) else {
            return self.leave_out(&shown, "the link leads out of the folder, or nowhere");
        };
        if !real.is_file() {
            return self.leave_out(&shown, "not a file");
        }
        let Ok(real) = real.strip_prefix(&self.root).map(Path::to_path_buf) else { return };
        let (root, unseen) = (self.root.clone(), place.unseen);
        self.found.files.push(SkillFile { path: shown, unseen, root, real });
    }
}

/// Why a folder of this name is not looked into, if it is not.
fn passed_over(name: &str) -> Option<&'static str> {
    if name == "node_modules" {
        return Some("node_modules is not looked into");
    }
    name.starts_with('.').then_some("a folder whose name begins with a dot is not looked into")
}

fn join(parent: &str, name: &str) -> String {
    if parent.is_empty() { name.to_owned() } else { format!("{parent}/{name}") }
}
