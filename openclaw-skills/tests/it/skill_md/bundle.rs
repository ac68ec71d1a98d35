//! The files of a skill: portable names, bounds, digests.

use std::{fs, path::Path};

use openclaw_skills::skill_md::{
    MAX_BUNDLE_ENTRIES, MAX_BUNDLE_FILE_BYTES, MAX_BUNDLE_FILES, SkillBundle, is_portable_path,
};
use tempfile::TempDir;

fn write(dir: &Path, path: &str, bytes: &[u8]) {
    let path = dir.join(path);
    fs::create_dir_all(path.parent().expect("a file has a folder")).expect("a folder is made");
    fs::write(path, bytes).expect("a file is written");
}

fn refused(dir: &TempDir) -> (String, &'static str) {
    let refused = SkillBundle::read(dir.path()).expect_err("it is refused");
    (refused.path, refused.why)
}

#[test]
fn a_bundle_lists_its_files_with_their_digests() {
    let dir = TempDir::new().expect("a folder");
    write(dir.path(), "scripts/run.sh", b"abc");
    write(dir.path(), "SKILL.md", b"");
    let bundle = SkillBundle::read(dir.path()).expect("it is read");
    let files: Vec<(&str, usize, &str)> = bundle
        .files()
        .iter()
        .map(|file| (file.path.as_str(), file.size, file.digest.as_str()))
        .collect();
    assert_eq!(
        files,
        [
            (
                "SKILL.md",
                0,
                "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
            ),
            (
                "scripts/run.sh",
                3,
                "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
            ),
        ]
    );
}

#[test]
fn whatever_a_skill_can_run_is_pinned() {
    for path in [".git/hooks/run.sh", "node_modules", "scripts/node_modules/m/i.js", "a/.git"] {
        let dir = TempDir::new().expect("a folder");
        write(dir.path(), "SKILL.md", b"");
        let without = SkillBundle::read(dir.path()).expect("it is read").digest();
        write(dir.path(), path, b"exit 0");
        let before = SkillBundle::read(dir.path()).expect("it is read");
        assert!(before.files().iter().any(|file| file.path == path), "{path}");
        write(dir.path(), path, b"exit 1");
        let after = SkillBundle::read(dir.path()).expect("it is read");
        assert!(before.digest() != without && before.digest() != after.digest(), "{path}");
    }
}

#[test]
fn a_renamed_file_is_another_bundle() {
    let dir = TempDir::new().expect("a folder");
    write(dir.path(), "a", b"x");
    let before = SkillBundle::read(dir.path()).expect("it is read").digest();
    assert_eq!(SkillBundle::read(dir.path()).expect("it is read").digest(), before);
    fs::rename(dir.path().join("a"), dir.path().join("b")).expect("it is renamed");
    assert_ne!(SkillBundle::read(dir.path()).expect("it is read").digest(), before);
}

#[test]
fn paths_that_leave_the_folder_or_differ_between_systems_are_refused() {
    let long = "a/".repeat(16) + "a";
    for path in [
        "",
        "/",
        "/etc/passwd",
        "..",
        "../a",
        "a/../b",
        "a/..",
        "./a",
        "a//b",
        "a/",
        "C:",
        "C:/a",
        "C:\\a",
        "\\\\host\\a",
        "a\\b",
        "a:b",
        "a\0b",
        "a\nb",
        "con",
        "NUL.txt",
        "x/com1.log",
        "lpt9",
        "a.",
        "a ",
        "a*",
        "a?",
        "a|b",
        "<a>",
        "\"a\"",
        &long,
        &"a".repeat(513),
    ] {
        assert!(!is_portable_path(path), "{path:?}");
    }
    for path in
        ["a", "a/b", ".hidden", "a b.md", "ü/ö", "...a", "console", "com10", &"a".repeat(512)]
    {
        assert!(is_portable_path(path), "{path:?}");
    }
}

#[test]
fn bounds_hold() {
    let dir = TempDir::new().expect("a folder");
    for at in 0..MAX_BUNDLE_FILES {
        write(dir.path(), &format!("f{at}"), b"");
    }
    assert!(SkillBundle::read(dir.path()).is_ok());
    write(dir.path(), "more", b"");
    assert_eq!(refused(&dir).1, "there are too many files");

    let dir = TempDir::new().expect("a folder");
    write(dir.path(), "f", &vec![0; MAX_BUNDLE_FILE_BYTES]);
    assert!(SkillBundle::read(dir.path()).is_ok());
    write(dir.path(), "f", &vec![0; MAX_BUNDLE_FILE_BYTES + 1]);
    assert_eq!(refused(&dir), ("f".to_owned(), "the file can't be read, or is too large"));

    let dir = TempDir::new().expect("a folder");
    for at in 0..8 {
        write(dir.path(), &format!("f{at}"), &vec![0; MAX_BUNDLE_FILE_BYTES]);
    }
    assert!(SkillBundle::read(dir.path()).is_ok());
    write(dir.path(), "more", b"x");
    assert_eq!(refused(&dir).1, "the files are too large together");
}

#[test]
fn a_tree_of_empty_folders_is_not_walked_without_end() {
    let dir = TempDir::new().expect("a folder");
    let make = |path: &str| fs::create_dir_all(dir.path().join(path)).expect("a folder is made");
    for branch in 0..64 {
        for leaf in 1..MAX_BUNDLE_ENTRIES / 64 {
            make(&format!("b{branch}/{leaf}"));
        }
    }
    assert!(SkillBundle::read(dir.path()).expect("it is read").files().is_empty());
    make("one/more");
    let (path, why) = refused(&dir);
    assert_eq!(why, "there are too many files and folders");
    assert!(dir.path().join(&path).is_dir(), "{path:?} is a place in it");
}

#[test]
fn a_folder_too_deep_is_refused_where_it_lies() {
    let dir = TempDir::new().expect("a folder");
    let deep = vec!["d"; 16].join("/");
    fs::create_dir_all(dir.path().join(&deep)).expect("a folder is made");
    assert!(SkillBundle::read(dir.path()).is_ok());
    write(dir.path(), &format!("{deep}/f"), b"");
    assert_eq!(refused(&dir), (format!("{deep}/f"), "it lies too deep"));
}

#[cfg(unix)]
#[test]
fn links_and_strange_names_are_refused() {
    use std::os::unix::fs::symlink;

    let dir = TempDir::new().expect("a folder");
    write(dir.path(), "a", b"x");
    symlink("a", dir.path().join("link")).expect("a link");
    assert_eq!(refused(&dir), ("link".to_owned(), "neither a file nor a folder"));

    let dir = TempDir::new().expect("a folder");
    fs::create_dir(dir.path().join("sub")).expect("a folder is made");
    symlink("..", dir.path().join("sub").join("up")).expect("a circle");
    assert_eq!(refused(&dir), ("sub/up".to_owned(), "neither a file nor a folder"));

    let dir = TempDir::new().expect("a folder");
    write(dir.path(), "a:b", b"x");
    assert_eq!(refused(&dir).0, "a:b");
}
