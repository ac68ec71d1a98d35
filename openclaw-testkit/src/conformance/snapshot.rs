//! Which laws ran for which implementation, kept in a file.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::{Read, Seek, Write},
    path::Path,
};

use super::Report;

const FILE: &str = "laws.snapshot";
const BLESS: &str = "OPENCLAW_BLESS";

/// Prints how many laws an implementation holds, and compares that with `laws.snapshot`.
///
/// The file lies in `folder`, usually the crate's own, with one line for each
/// implementation: `MemoryStore: store, 59 held, 4 not declared (durable)`. A law that no
/// longer runs is red, even if its test went away with it. `OPENCLAW_BLESS=1` writes the
/// line instead. The laws' macros call this when they are given a name:
///
/// ```
/// use openclaw_core::store::MemoryStore;
/// use openclaw_testkit::conformance::{Report, snapshot, store};
///
/// let folder = std::env::temp_dir().join(format!("laws-{}", std::process::id()));
/// std::fs::create_dir_all(&folder)?;
/// std::fs::write(folder.join("laws.snapshot"), "nothing: store, 0 held, 0 not declared\n")?;
/// snapshot(&folder, "nothing", "store", &Report::default());
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Panics
/// The line differs or is not there, or the file can't be read or written.
pub fn snapshot(folder: impl AsRef<Path>, implementation: &str, family: &str, report: &Report) {
    let now = line(family, report);
    println!(
        "conformance: {implementation}: {family}, {} laws held, {} not declared",
        report.held.len(),
        report.not_declared.len(),
    );
    let path = folder.as_ref().join(FILE);
    if std::env::var_os(BLESS).is_some_and(|bless| bless == "1") {
        let open =
            || OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        bless(open().expect("laws.snapshot can be written"), implementation, &now);
        return;
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    let kept = lines(&kept);
    let then =
        kept.get(&(implementation.to_owned(), family.to_owned())).map_or("nothing", |line| line);
    assert_eq!(
        now,
        then,
        "the laws that ran for {implementation} (left) are not those of {} (right). If that is \
         meant, run this test with {BLESS}=1.",
        path.display()
    );
}

/// What is kept of a report, behind the implementation's name.
fn line(family: &str, report: &Report) -> String {
    let mut missing: Vec<&str> = report.not_declared.iter().map(|(_, what)| *what).collect();
    missing.sort_unstable();
    missing.dedup();
    let (held, not) = (report.held.len(), report.not_declared.len());
    let line = format!("{family}, {held} held, {not} not declared");
    if missing.is_empty() { line } else { format!("{line} ({})", missing.join("; ")) }
}

/// The lines of a file by implementation and family.
fn lines(text: &str) -> BTreeMap<(String, String), String> {
    text.lines()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, line)| {
            let family = line.split(',').next().unwrap_or_default();
            ((name.to_owned(), family.to_owned()), line.to_owned())
        })
        .collect()
}

/// Puts one line into the file. Other tests, or other processes, may do so at the same time.
fn bless(mut file: File, implementation: &str, now: &str) {
    file.lock().expect("a lock on laws.snapshot");
    let mut text = String::new();
    file.read_to_string(&mut text).expect("laws.snapshot is text");
    let mut kept = lines(&text);
    let family = now.split(',').next().unwrap_or_default();
    kept.insert((implementation.to_owned(), family.to_owned()), now.to_owned());
    let text: String = kept.iter().map(|((name, _), line)| format!("{name}: {line}\n")).collect();
    file.set_len(0).and_then(|()| file.rewind()).expect("laws.snapshot can be emptied");
    file.write_all(text.as_bytes()).expect("laws.snapshot can be written");
}
