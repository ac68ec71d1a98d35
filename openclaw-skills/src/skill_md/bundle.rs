//! The files of a skill's folder: bounded, with portable names and digests.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use super::open::read_below;
use crate::descriptor::Pin;

/// How many files a skill may have.
pub const MAX_BUNDLE_FILES: usize = 256;

/// The largest file of a skill.
pub const MAX_BUNDLE_FILE_BYTES: usize = 1 << 20;

/// How many bytes all files of a skill may have.
pub const MAX_BUNDLE_BYTES: usize = 8 << 20;

/// How many files and folders are looked at, empty folders included.
pub const MAX_BUNDLE_ENTRIES: usize = 4_096;

const MAX_PATH_CHARS: usize = 512;
const MAX_PATH_PARTS: usize = 16;

/// A file of a skill, as it was when it was read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct BundleFile {
    /// Its path below the skill's folder, with `/`.
    pub path: String,
    /// In bytes.
    pub size: usize,
    /// `sha256:` and 64 hexadecimal digits.
    pub digest: String,
}

/// All files of a skill, in the order of their paths.
///
/// ```
/// use openclaw_skills::skill_md::SkillBundle;
///
/// let dir = tempfile::tempdir()?;
/// std::fs::write(dir.path().join("SKILL.md"), "---\nname: a\n---\n")?;
/// let pinned = SkillBundle::read(dir.path())?.digest();
///
/// std::fs::write(dir.path().join("run.sh"), "echo changed")?;
/// assert_ne!(SkillBundle::read(dir.path())?.digest(), pinned);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkillBundle {
    files: Vec<BundleFile>,
}

/// Why a folder is not taken as a skill's files.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BundleRefused {
    /// The file or folder it is about, below the skill's folder.
    pub path: String,
    /// What is wrong with it.
    pub why: &'static str,
}

impl fmt::Display for BundleRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.path, self.why)
    }
}

impl std::error::Error for BundleRefused {}

impl SkillBundle {
    /// Reads every file below a folder, whatever it is called: a skill can run any of them.
    ///
    /// So `.git` and `node_modules` count against the bounds, too: leave them out of what is
    /// installed.
    ///
    /// # Errors
    ///
    /// A bound is passed, something lies more than 16 levels deep, a name is not portable, or
    /// something is neither file nor folder: a link for instance, wherever it leads.
    pub fn read(dir: &Path) -> Result<Self, BundleRefused> {
        let Ok(root) = dir.canonicalize() else {
            return Err(BundleRefused { path: String::new(), why: "the folder can't be read" });
        };
        let mut reader = Reader { root, files: Vec::new(), bytes: 0, entries: 0 };
        reader.folder("", 1)?;
        reader.files.sort();
        Ok(Self { files: reader.files })
    }

    /// The files, in the order of their paths.
    #[must_use]
    pub fn files(&self) -> &[BundleFile] {
        &self.files
    }

    /// One digest of all paths and digests.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut lines = String::new();
        for file in &self.files {
            lines.push_str(&format!("{} {} {}\n", file.digest, file.size, file.path));
        }
        Pin::of(lines.as_bytes()).to_string()
    }
}

/// Is this a path that means the same everywhere, and stays below its folder?
#[must_use]
pub fn is_portable_path(path: &str) -> bool {
    let short = path.chars().count() <= MAX_PATH_CHARS && path.split('/').count() <= MAX_PATH_PARTS;
    let part = |part: &str| {
        let device = part.split('.').next().unwrap_or_default().to_ascii_lowercase();
        let number = |name: &str| {
            device.strip_prefix(name).is_some_and(|rest| matches!(rest.as_bytes(), [b'0'..=b'9']))
        };
        let reserved = matches!(device.as_str(), "con" | "prn" | "aux" | "nul")
            || number("com")
            || number("lpt");
        !part.is_empty() && part != "." && part != ".." && !part.ends_with(['.', ' ']) && !reserved
    };
    let sign =
        |c: char| c.is_control() || matches!(c, '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|');
    short && !path.contains(sign) && path.split('/').all(part)
}

struct Reader {
    root: PathBuf,
    files: Vec<BundleFile>,
    bytes: usize,
    entries: usize,
}

impl Reader {
    fn folder(&mut self, shown: &str, depth: usize) -> Result<(), BundleRefused> {
        let refused = |path: &str, why| BundleRefused { path: path.to_owned(), why };
        let unreadable = |_| refused(shown, "the folder can't be read");
        for entry in fs::read_dir(self.root.join(shown)).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else {
                return Err(refused(shown, "a name is not Unicode"));
            };
            let path = if shown.is_empty() { name.to_owned() } else { format!("{shown}/{name}") };
            self.entries += 1;
            if self.entries > MAX_BUNDLE_ENTRIES {
                return Err(refused(&path, "there are too many files and folders"));
            }
            if depth > MAX_PATH_PARTS {
                return Err(refused(&path, "it lies too deep"));
            }
            if !is_portable_path(&path) {
                let why = "the name does not mean the same everywhere, or is too long";
                return Err(refused(&path, why));
            }
            let kind = entry.file_type().map_err(unreadable)?;
            if kind.is_dir() {
                self.folder(&path, depth + 1)?;
            } else if kind.is_file() {
                self.file(path)?;
            } else {
                return Err(refused(&path, "neither a file nor a folder"));
            }
        }
        Ok(())
    }

    fn file(&mut self, path: String) -> Result<(), BundleRefused> {
        if self.files.len() >= MAX_BUNDLE_FILES {
            return Err(BundleRefused { path, why: "there are too many files" });
        }
        let Ok(bytes) = read_below(&self.root, Path::new(&path), MAX_BUNDLE_FILE_BYTES) else {
            return Err(BundleRefused { path, why: "the file can't be read, or is too large" });
        };
        self.bytes += bytes.len();
        if self.bytes > MAX_BUNDLE_BYTES {
            return Err(BundleRefused { path, why: "the files are too large together" });
        }
        let digest = Pin::of(&bytes).to_string();
        self.files.push(BundleFile { path, size: bytes.len(), digest });
        Ok(())
    }
}
