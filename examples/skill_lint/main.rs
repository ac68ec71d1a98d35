//! What the gateway makes of each SKILL.md below a folder, one line of JSON each.
//!
//! ```text
//! cargo run --release --example skill_lint -- DIR
//! ```
//!
//! A line has `path`, `ok`, `name`, `description`, `metadata` and `diagnostics`. `ok` says that the
//! gateway's parser reads the file; what it reads is then in the next three. Counts go to the standard
//! error. The program ends with 0 whatever the files hold, and with 2 when it can't do its work.

use std::{
    collections::BTreeMap,
    env,
    io::{self, BufWriter, Write},
    path::Path,
    process::ExitCode,
};

use openclaw_skills::skill_md::{
    Diagnostic, Severity, SkillDoc, SkillFile, SkillMetadata, find_skills,
};
use serde::Serialize;

const USAGE: &str = "usage: skill_lint DIR";

fn main() -> ExitCode {
    let words: Vec<_> = env::args_os().skip(1).collect();
    let done = match words.as_slice() {
        [dir] => lint(Path::new(dir)),
        _ => Err(USAGE.to_owned()),
    };
    match done {
        Ok(counts) => {
            say(&counts.text());
            ExitCode::SUCCESS
        }
        Err(why) => {
            say(&why);
            ExitCode::from(2)
        }
    }
}

fn say(line: &str) {
    // Nobody may be there to read it.
    let _unread = writeln!(io::stderr(), "{line}");
}

#[derive(Serialize)]
struct Line<'a> {
    path: &'a str,
    ok: bool,
    name: Option<&'a str>,
    description: Option<&'a str>,
    metadata: Option<&'a SkillMetadata>,
    diagnostics: &'a [Diagnostic],
}

fn lint(dir: &Path) -> Result<Counts, String> {
    let found = find_skills(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let mut out = BufWriter::new(io::stdout().lock());
    let mut counts = Counts::default();
    for file in &found.files {
        let (doc, diagnostics) = read(file);
        let line = Line {
            path: &file.path,
            ok: doc.is_readable(),
            name: doc.name(),
            description: doc.description(),
            metadata: doc.metadata(),
            diagnostics: &diagnostics,
        };
        counts.add(&line);
        let line = serde_json::to_string(&line).map_err(|error| error.to_string())?;
        writeln!(out, "{line}").map_err(|error| format!("standard output: {error}"))?;
    }
    out.flush().map_err(|error| format!("standard output: {error}"))?;
    for left_out in &found.left_out {
        say(&format!("left out: {}: {}", left_out.path, left_out.why));
    }
    Ok(counts)
}

fn read(file: &SkillFile) -> (SkillDoc, Vec<Diagnostic>) {
    let (doc, mut diagnostics) = match file.read() {
        Ok(bytes) => SkillDoc::parse(file.folder(), &bytes),
        Err(diagnostic) => (SkillDoc::default(), vec![diagnostic]),
    };
    diagnostics.extend(file.diagnostic());
    (doc, diagnostics)
}

#[derive(Default)]
struct Counts {
    files: usize,
    ok: usize,
    clean: usize,
    offered: usize,
    codes: BTreeMap<(Severity, &'static str), usize>,
}

impl Counts {
    fn add(&mut self, line: &Line<'_>) {
        let has = |severity| line.diagnostics.iter().any(|found| found.severity >= severity);
        self.files += 1;
        self.ok += usize::from(line.ok);
        self.clean += usize::from(!has(Severity::Warning));
        self.offered +=
            usize::from(line.ok && line.description.is_some_and(|text| !text.is_empty()));
        for found in line.diagnostics {
            *self.codes.entry((found.severity, found.code)).or_default() += 1;
        }
    }

    fn text(&self) -> String {
        let mut text = format!(
            "{} files: {} read, {} of them with a description; {} without a warning",
            self.files, self.ok, self.offered, self.clean
        );
        for ((severity, code), count) in self.codes.iter().rev() {
            text.push_str(&format!("\n{count:6} {severity:?} {code}"));
        }
        text
    }
}
