//! Where a server's program lies: named by the environment, on PATH, or in a usual place.

use std::{
    env, fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use super::error::ServerError;

/// A program and where to look for it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Program {
    pub(super) name: &'static str,
    /// The environment variable that names the program, or the folder it lies in.
    pub(super) variable: &'static str,
    /// The Debian package that has it.
    pub(super) package: &'static str,
    /// Folders to look in before PATH; one `*` stands for the newest version.
    pub(super) before: &'static [&'static str],
    /// Folders to look in after PATH.
    pub(super) after: &'static [&'static str],
}

/// Folders with servers that PATH often leaves out.
pub(super) const USUAL: &[&str] =
    &["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/opt/homebrew/bin"];

impl Program {
    /// Finds the program; `given` alone counts when there is one, else the variable alone.
    pub(super) fn find(&self, given: Option<&Path>) -> Result<PathBuf, ServerError> {
        let named = env::var_os(self.variable).filter(|named| !named.is_empty());
        let named = given.map(Path::to_owned).or_else(|| named.map(PathBuf::from));
        let found = match &named {
            Some(named) => runs(named.clone()).or_else(|| runs(named.join(self.name))),
            None => self.search(),
        };
        found.ok_or_else(|| ServerError::Missing {
            what: named.map_or_else(|| self.name.to_owned(), |path| path.display().to_string()),
            package: self.package,
            variable: self.variable,
        })
    }

    fn search(&self) -> Option<PathBuf> {
        let path = env::var_os("PATH").unwrap_or_default();
        let before = self.before.iter().flat_map(|place| folders(place));
        let after = self.after.iter().flat_map(|place| folders(place));
        let mut all = before.chain(env::split_paths(&path)).chain(after);
        all.find_map(|folder| runs(folder.join(self.name)))
    }
}

/// The folders a place stands for, the newest version first.
fn folders(place: &str) -> Vec<PathBuf> {
    let Some((parent, rest)) = place.split_once('*') else { return vec![PathBuf::from(place)] };
    let (parent, prefix) = parent.rsplit_once('/').unwrap_or(("", parent));
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| name.starts_with(prefix)).collect();
    names.sort_by_key(|name| version(name));
    names.iter().rev().map(|name| PathBuf::from(format!("{parent}/{name}{rest}"))).collect()
}

/// The numbers in a name, so that 15 comes after 9.
fn version(name: &str) -> Vec<u64> {
    let digits = name.split(|c: char| !c.is_ascii_digit());
    digits.filter_map(|number| number.parse().ok()).collect()
}

/// The path when it is a file that may be executed.
fn runs(path: PathBuf) -> Option<PathBuf> {
    let about = fs::metadata(&path).ok()?;
    (about.is_file() && about.permissions().mode() & 0o111 != 0).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_is_looked_at_first() {
        let home = tempfile::tempdir().unwrap();
        for name in ["9.6", "15", "14.2", "other"] {
            fs::create_dir_all(home.path().join("pg").join(name).join("bin")).unwrap();
        }
        let place = format!("{}/pg/*/bin", home.path().display());
        let found: Vec<PathBuf> = folders(&place).into_iter().take(3).collect();
        let pg = |name: &str| home.path().join("pg").join(name).join("bin");
        assert_eq!(found, [pg("15"), pg("14.2"), pg("9.6")]);
    }
}
