//! What library code may not touch: clocks, randomness, threads, process state, HTTP in core.

use super::{
    Finding, in_library,
    source::{self, Names, Path},
};

/// Where a ban holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    Libraries,
    Core,
}

/// A path that may not be used, and what to do instead.
struct Ban(Scope, &'static str, &'static str);

const BANS: &[Ban] = &[
    Ban(Scope::Libraries, "std::time::SystemTime::now", "take the date from `Env`"),
    Ban(Scope::Libraries, "jiff::Timestamp::now", "take the date from `Env`"),
    Ban(Scope::Libraries, "jiff::Zoned::now", "take the date from `Env`"),
    Ban(Scope::Libraries, "std::time::Instant", "use tokio::time::Instant: tests pause it"),
    Ban(Scope::Libraries, "std::time::Instant::now", "use tokio::time::Instant: tests pause it"),
    Ban(Scope::Libraries, "rand", "take randomness from `Env`"),
    Ban(Scope::Libraries, "fastrand", "take randomness from `Env`"),
    Ban(Scope::Libraries, "getrandom", "take randomness from `Env`"),
    Ban(Scope::Libraries, "std::hash::RandomState", "take randomness from `Env`"),
    Ban(Scope::Libraries, "uuid::Uuid::new_v4", "take ids from `Env`"),
    Ban(Scope::Libraries, "std::thread::sleep", "use tokio::time::sleep: tests pause it"),
    Ban(Scope::Libraries, "std::thread::spawn", "use a task that something drains"),
    Ban(Scope::Libraries, "std::thread::scope", "use tasks that something drains"),
    Ban(Scope::Libraries, "std::thread::Builder", "use a task that something drains"),
    Ban(Scope::Libraries, "std::env::set_var", "take settings as arguments"),
    Ban(Scope::Libraries, "std::env::remove_var", "take settings as arguments"),
    Ban(Scope::Libraries, "std::process::exit", "return an error: the host decides"),
    Ban(Scope::Libraries, "tracing_subscriber", "only a program sets up tracing"),
    Ban(Scope::Libraries, "reqwest", "take the `Http` port: the guarded client is the only one"),
    Ban(Scope::Libraries, "hyper::client", "take the `Http` port: the guarded client is behind it"),
    Ban(Scope::Libraries, "hyper_util::client", "take the `Http` port"),
    Ban(Scope::Libraries, "tokio::net::TcpStream::connect", "take the `Http` port"),
    Ban(Scope::Libraries, "tokio::net::TcpSocket", "take the `Http` port"),
    Ban(Scope::Libraries, "tokio::net::lookup_host", "names are looked up behind the `Http` port"),
    Ban(Scope::Libraries, "std::net::TcpStream", "take the `Http` port"),
    Ban(Scope::Libraries, "std::net::ToSocketAddrs", "names are looked up behind the `Http` port"),
    Ban(Scope::Core, "hyper", "sockets belong to channels; core has the `http` types"),
    Ban(Scope::Core, "hyper_util", "sockets belong to channels; core has the `http` types"),
    Ban(Scope::Core, "axum", "sockets belong to channels; core has the `http` types"),
    Ban(Scope::Core, "rustls", "TLS belongs to channels, and to `store::tls`"),
];

/// The excused: where a path begins with the first, what begins with the second is fine.
const EXCUSED: &[(&str, &str, &str)] = &[
    ("openclaw-core/src/words/env.rs", "std::time::SystemTime::now", "it is the system clock"),
    ("openclaw-core/src/words/env.rs", "getrandom", "it is the system entropy"),
    ("openclaw-core/src/words/env.rs", "std::hash::RandomState", "entropy of the last resort"),
    ("openclaw-core/src/store/", "std::thread", "an engine owns its writer thread"),
    ("openclaw-core/src/store/tls/", "rustls", "the way to engines that are servers"),
    ("openclaw-core/src/store/redis/", "tokio::net::TcpStream", "the way to an engine"),
    ("openclaw-channels/src/guarded_http/", "hyper_util::client", "it is the guarded client"),
    ("openclaw-channels/src/guarded_http/", "tokio::net::lookup_host", "it judges the answers"),
    ("openclaw-testkit/src/", "tokio::net", "a test plays both ends of a wire"),
];

/// No path of [`BANS`], whether it is imported, renamed or written out.
pub(super) fn paths(path: &str, text: &str) -> Vec<Finding> {
    if !in_library(path) {
        return Vec::new();
    }
    let names = source::names(&source::shipped(text));
    let mut found = Vec::new();
    for Ban(scope, banned, todo) in BANS {
        let elsewhere = *scope == Scope::Core && !path.starts_with("openclaw-core/");
        let excused = |(at, what, _): &(&str, &str, &str)| {
            path.starts_with(at) && format!("{banned}::").starts_with(&format!("{what}::"))
        };
        if elsewhere || EXCUSED.iter().any(excused) {
            continue;
        }
        let ban: Vec<&str> = banned.split("::").collect();
        let todo = format!("`{banned}`: {todo}");
        let lines = uses(&names, &ban).into_iter();
        found.extend(lines.map(|line| Finding::new(path, line, "ban", &todo)));
    }
    found.sort_by_key(|finding| finding.line);
    found.dedup_by_key(|finding| finding.line);
    found
}

/// No mutable static: state has an owner.
pub(super) fn mutable_static(path: &str, text: &str) -> Vec<Finding> {
    if !in_library(path) {
        return Vec::new();
    }
    let code = source::shipped(text);
    let item = |at: &usize| {
        let lifetime = code.get(..*at).is_some_and(|before| before.ends_with('\''));
        let after = code.get(at + "static".len()..).unwrap_or_default().trim_start();
        !lifetime && source::words(after, "mut").next() == Some(0)
    };
    let todo = "give the state an owner: a mutable static is shared by all gateways";
    let lines = source::words(&code, "static").filter(item).map(|at| source::line_of(&code, at));
    lines.map(|line| Finding::new(path, line, "mutable static", todo)).collect()
}

/// Every `select!` begins with `biased;`: a random choice can't be replayed.
pub(super) fn unbiased_select(path: &str, text: &str) -> Vec<Finding> {
    if !in_library(path) {
        return Vec::new();
    }
    let code = source::shipped(text);
    let unbiased = |at: &usize| {
        let after = code.get(at + "select".len()..).unwrap_or_default();
        let body = after.strip_prefix('!').map(|body| body.trim_start_matches([' ', '{', '(']));
        body.is_some_and(|body| !body.trim_start().starts_with("biased;"))
    };
    let todo = "begin with `biased;`: a seed must replay the whole run";
    let at = source::words(&code, "select").filter(unbiased);
    at.map(|at| Finding::new(path, source::line_of(&code, at), "unbiased", todo)).collect()
}

/// The lines on which `names` use `ban`.
fn uses(names: &Names, ban: &[&str]) -> Vec<usize> {
    let imported = names.imports.iter().filter(|import| {
        let path: Vec<&str> = import.path.segments.iter().map(String::as_str).collect();
        let glob = path.split_last().is_some_and(|(last, head)| {
            *last == "*" && ban.len() > 1 && ban.split_last().is_some_and(|(_, room)| room == head)
        });
        path.starts_with(ban) || glob
    });
    let written = names.paths.iter().filter(|path| {
        let full = resolved(path, names);
        full.len() > 1 && (0..ban.len()).any(|skip| matches_from(ban, skip, &full))
    });
    let mut lines: Vec<usize> =
        imported.map(|import| import.path.line).chain(written.map(|path| path.line)).collect();
    lines.sort_unstable();
    lines.dedup();
    lines
}

/// Is `full` the ban, written from its segment `skip` on? Two segments at least are proof.
fn matches_from(ban: &[&str], skip: usize, full: &[String]) -> bool {
    let tail = ban.get(skip..).unwrap_or_default();
    let enough = skip == 0 || tail.len() > 1;
    enough && full.len() >= tail.len() && full.iter().zip(tail).all(|(a, b)| a == b)
}

/// `path` with its first segment replaced by what the file imported under that name.
fn resolved(path: &Path, names: &Names) -> Vec<String> {
    let Some((head, rest)) = path.segments.split_first() else { return Vec::new() };
    let import = names.imports.iter().find(|import| import.name == *head);
    let mut full = import.map_or_else(|| vec![head.clone()], |i| i.path.segments.clone());
    full.extend(rest.iter().cloned());
    full
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rule: fn(&str, &str) -> Vec<Finding>, path: &str, text: &str, expected: &[usize]) {
        let found: Vec<usize> = rule(path, text).iter().map(|finding| finding.line).collect();
        assert_eq!(found, expected, "{path}: {text}");
    }

    const SKILLS: &str = "openclaw-skills/src/a.rs";

    #[test]
    fn every_ban_is_found_however_it_is_written() {
        let check = |text: &str| {
            let found = paths("openclaw-core/src/a.rs", text);
            assert!(found.iter().any(|finding| finding.line == 2), "not found: {text}");
        };
        for Ban(_, banned, _) in BANS {
            check(&format!("fn a() {{\n    {banned}::b();\n}}"));
            check(&format!("\nuse {banned};"));
            if let Some((room, name)) = banned.rsplit_once("::") {
                check(&format!("use {room} as r;\nfn a() {{ r::{name}(); }}"));
                check(&format!("\nuse {room}::{{b,\n    {name} as c}};"));
            }
        }
    }

    #[test]
    fn a_path_that_was_not_imported_here_is_found() {
        check(paths, SKILLS, "fn a() { thread::spawn(b); }", &[1]);
        check(paths, SKILLS, "fn a() { Instant::now(); }", &[1]);
        check(paths, SKILLS, "use std::thread::*;", &[1]);
    }

    #[test]
    fn tokio_time_is_fine() {
        check(paths, SKILLS, "use tokio::time::{Instant, sleep};\nfn a() { Instant::now(); }", &[]);
        check(paths, SKILLS, "use tokio::time;\nfn a() { time::Instant::now(); }", &[]);
        check(paths, SKILLS, "fn a() { tokio::time::Instant::now(); b.rand(); }", &[]);
    }

    #[test]
    fn comments_strings_tests_and_programs_are_free() {
        let text = "// std::thread::sleep\nconst A: &str = \"std::thread::sleep\";\n\
                    #[cfg(test)]\nmod tests {\n fn a() { std::thread::sleep(b); }\n}\n";
        check(paths, SKILLS, text, &[]);
        check(paths, "examples/a.rs", "fn a() { std::process::exit(1) }", &[]);
        check(paths, "openclaw-core/tests/it/a.rs", "use std::thread;", &[]);
    }

    #[test]
    fn the_excused_are_excused_for_one_thing() {
        let env = "openclaw-core/src/words/env.rs";
        check(paths, env, "use std::time::SystemTime;\nfn a() { SystemTime::now(); }", &[]);
        check(paths, env, "fn a() { std::thread::spawn(b); }", &[1]);
        check(paths, "openclaw-core/src/store/redb.rs", "use std::thread::Builder;", &[]);
        check(paths, "openclaw-core/src/store/redb.rs", "use std::time::Instant;", &[1]);
    }

    #[test]
    fn http_is_banned_from_core_only() {
        check(paths, "openclaw-channels/src/a.rs", "use axum::Router;", &[]);
        check(paths, "openclaw-core/src/a.rs", "use axum::Router;", &[1]);
    }

    #[test]
    fn requests_leave_by_one_client() {
        let connect = "use tokio::net::TcpStream;\nfn a() { TcpStream::connect(b); }";
        for path in [SKILLS, "openclaw-channels/src/http/a.rs", "openclaw-core/src/a.rs"] {
            check(paths, path, connect, &[2]);
            check(paths, path, "fn a() { reqwest::get(b); }", &[1]);
        }
        let client = "use hyper_util::{client::legacy::Client, rt::TokioIo};";
        check(paths, "openclaw-channels/src/http/a.rs", client, &[1]);
        check(paths, "openclaw-channels/src/guarded_http/a.rs", client, &[]);
        check(paths, "openclaw-channels/src/guarded_http/a.rs", connect, &[2]);
        check(paths, "openclaw-core/src/store/redis/link.rs", connect, &[]);
        check(paths, "openclaw-testkit/src/proxy/a.rs", connect, &[]);
        check(paths, SKILLS, "use tokio::net::{TcpListener, TcpStream};", &[]);
    }

    #[test]
    fn tls_has_one_room_in_core() {
        check(paths, "openclaw-core/src/store/tls/a.rs", "use rustls::ClientConfig;", &[]);
        check(paths, "openclaw-core/src/store/a.rs", "use rustls::ClientConfig;", &[1]);
    }

    #[test]
    fn a_mutable_static_is_found() {
        check(mutable_static, SKILLS, concat!("static", " mut A: u8 = 0;"), &[1]);
        check(mutable_static, SKILLS, "static A: u8 = 0;\nfn b(c: &'static mut u8) {}", &[]);
    }

    #[test]
    fn an_unbiased_select_is_found() {
        let macro_of = |body: &str| format!("fn a() {{\n    tokio::select! {{\n{body}}} }}");
        check(unbiased_select, SKILLS, &macro_of("        b = c => {}"), &[2]);
        check(unbiased_select, SKILLS, &macro_of("        biased;\n        b = c => {}"), &[]);
        check(unbiased_select, SKILLS, "fn select() { self.select(); }", &[]);
    }
}
