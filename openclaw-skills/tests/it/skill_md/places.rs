//! Finding: how deep, in which order, and never out of the folder.

use std::{fs, path::Path};

use openclaw_skills::skill_md::{FoundSkills, MAX_FOLDER_DEPTH, find_skills};
use tempfile::TempDir;

fn write(root: &Path, path: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().expect("a file has a folder")).expect("a folder is made");
    fs::write(path, "---\nname: a\ndescription: b\n---\n").expect("a file is written");
}

fn paths(found: &FoundSkills) -> Vec<&str> {
    found.files.iter().map(|file| file.path.as_str()).collect()
}

#[test]
fn files_come_by_path_and_hidden_folders_are_passed_over() {
    let dir = TempDir::new().expect("a folder");
    for path in [
        "b/SKILL.md",
        "a/x/SKILL.md",
        "a-b/SKILL.md",
        ".git/SKILL.md",
        "node_modules/m/SKILL.md",
        "c/skill.md",
    ] {
        write(dir.path(), path);
    }
    let found = find_skills(dir.path()).expect("the folder is there");
    assert_eq!(paths(&found), ["a-b/SKILL.md", "a/x/SKILL.md", "b/SKILL.md"]);
    assert_eq!(found.files[1].folder(), Some("x"));
    assert!(found.files.iter().all(|file| file.unseen.is_none()));
}

fn left_out(found: &FoundSkills) -> Vec<&str> {
    found.left_out.iter().map(|left_out| left_out.path.as_str()).collect()
}

#[test]
fn folders_that_are_not_looked_into_are_told() {
    let dir = TempDir::new().expect("a folder");
    for path in [
        ".git/SKILL.md",
        "a/.hidden/x/SKILL.md",
        "a/SKILL.md",
        "node_modules/m/SKILL.md",
        "node_modules/m/node_modules/n/SKILL.md",
    ] {
        write(dir.path(), path);
    }
    fs::write(dir.path().join(".gitignore"), "target\n").expect("a file is written");
    fs::write(dir.path().join("README.md"), "").expect("a file is written");
    let found = find_skills(dir.path()).expect("the folder is there");
    assert_eq!(paths(&found), ["a/SKILL.md"]);
    assert_eq!(left_out(&found), [".git", "a/.hidden", "node_modules"], "one line each");
}

#[test]
fn what_the_gateway_does_not_find_is_told() {
    let dir = TempDir::new().expect("a folder");
    let at = |depth: usize| format!("{}SKILL.md", "d/".repeat(depth));
    write(dir.path(), &at(MAX_FOLDER_DEPTH));
    write(dir.path(), "s/SKILL.md");
    write(dir.path(), "s/inner/SKILL.md");
    write(dir.path(), &format!("e/{}", at(MAX_FOLDER_DEPTH)));
    let found = find_skills(dir.path()).expect("the folder is there");
    let unseen: Vec<(&str, bool)> =
        found.files.iter().map(|file| (file.path.as_str(), file.diagnostic().is_some())).collect();
    let deeper = format!("e/{}", at(MAX_FOLDER_DEPTH));
    let expected = [
        (at(MAX_FOLDER_DEPTH), false),
        (deeper, true),
        ("s/SKILL.md".to_owned(), false),
        ("s/inner/SKILL.md".to_owned(), true),
    ];
    let expected: Vec<(&str, bool)> =
        expected.iter().map(|(path, unseen)| (path.as_str(), *unseen)).collect();
    assert_eq!(unseen, expected);
}

#[test]
fn a_folder_may_be_a_skill_itself() {
    let dir = TempDir::new().expect("a folder");
    write(dir.path(), "mine/SKILL.md");
    let found = find_skills(&dir.path().join("mine")).expect("the folder is there");
    assert_eq!(paths(&found), ["SKILL.md"]);
    assert_eq!(found.files[0].folder(), Some("mine"));
}

#[test]
fn a_missing_folder_is_an_error() {
    let dir = TempDir::new().expect("a folder");
    assert!(find_skills(&dir.path().join("none")).is_err());
}

#[cfg(unix)]
mod links {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_link_is_followed_inside_the_folder_only() {
        let outside = TempDir::new().expect("a folder");
        write(outside.path(), "secret/SKILL.md");
        let dir = TempDir::new().expect("a folder");
        write(dir.path(), "a/SKILL.md");
        let link = |to: &Path, from: &str| symlink(to, dir.path().join(from)).expect("a link");
        link(&outside.path().join("secret"), "out");
        link(Path::new("../.."), "up");
        link(dir.path(), "circle");
        link(Path::new("nowhere"), "gone");
        fs::create_dir(dir.path().join("b")).expect("a folder");
        link(&outside.path().join("secret/SKILL.md"), "b/SKILL.md");
        fs::create_dir(dir.path().join("c")).expect("a folder");
        link(&dir.path().join("a/SKILL.md"), "c/SKILL.md");

        let found = find_skills(dir.path()).expect("the folder is there");
        assert_eq!(paths(&found), ["a/SKILL.md", "c/SKILL.md"]);
        assert_eq!(left_out(&found), ["b/SKILL.md", "circle", "gone", "out", "up"]);
        assert!(found.files[1].read().is_ok());
    }

    #[test]
    fn what_can_not_be_looked_at_is_told_once() {
        let dir = TempDir::new().expect("a folder");
        let link = |to: &str, from: &str| symlink(to, dir.path().join(from)).expect("a link");
        link("loop", "loop");
        link("nowhere", "SKILL.md");
        fs::write(dir.path().join("notes"), "").expect("a file is written");
        link("notes", "more-notes");
        let found = find_skills(dir.path()).expect("the folder is there");
        assert_eq!((paths(&found), left_out(&found)), (vec![], vec!["SKILL.md", "loop"]));
    }

    /// Between looking and opening, a folder or the file becomes a link to the outside.
    #[test]
    fn a_link_that_comes_in_between_is_refused() {
        let outside = TempDir::new().expect("a folder");
        write(outside.path(), "SKILL.md");
        let dir = TempDir::new().expect("a folder");
        write(dir.path(), "a/SKILL.md");
        write(dir.path(), "b/SKILL.md");
        let found = find_skills(dir.path()).expect("the folder is there");
        assert!(found.files.iter().all(|file| file.read().is_ok()));

        let a = dir.path().join("a");
        fs::remove_dir_all(&a).expect("it goes");
        symlink(outside.path(), &a).expect("a link");
        let b = dir.path().join("b/SKILL.md");
        fs::remove_file(&b).expect("it goes");
        symlink(outside.path().join("SKILL.md"), &b).expect("a link");
        for file in &found.files {
            let refused = file.read().expect_err("a link is in the way");
            assert_eq!(refused.code, "unreadable", "{}", file.path);
        }
    }

    #[test]
    fn what_grows_in_between_is_refused() {
        let dir = TempDir::new().expect("a folder");
        write(dir.path(), "a/SKILL.md");
        let found = find_skills(dir.path()).expect("the folder is there");
        fs::write(dir.path().join("a/SKILL.md"), vec![b'x'; 256_001]).expect("a file is written");
        assert_eq!(found.files[0].read().expect_err("it is too large").code, "too-large");
    }
}
