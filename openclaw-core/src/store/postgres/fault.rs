//! The server's errors in the words of the store.

use std::{error::Error as _, io};

use tokio_postgres::{
    Error,
    error::{DbError, Severity, SqlState},
};

use super::place::Place;
use crate::{store::tls::refusal, traits::store::StoreError};

/// What an error means to its caller.
pub(super) fn fault(place: &Place, e: &Error) -> StoreError {
    match e.as_db_error() {
        Some(db) => judged(place, db.code(), db.message()),
        None => StoreError::Unavailable(format!("postgres at {place}: {}", lost(e))),
    }
}

/// What an answer of the server means. Its details may hold rows: only the message is kept.
fn judged(place: &Place, code: &SqlState, message: &str) -> StoreError {
    let line = message.replace('\n', " ");
    let said = |todo: &str| format!("postgres at {place}: {line} ({}): {todo}", code.code());
    let down = |todo: &str| StoreError::Unavailable(said(todo));
    match code {
        c if *c == SqlState::DISK_FULL => StoreError::Full(said("free space on its disk")),
        c if *c == SqlState::DATA_CORRUPTED || *c == SqlState::INDEX_CORRUPTED => {
            StoreError::Corrupt(said("restore it from a backup"))
        }
        c if *c == SqlState::UNDEFINED_TABLE
            || *c == SqlState::UNDEFINED_COLUMN
            || *c == SqlState::INVALID_SCHEMA_NAME =>
        {
            StoreError::Corrupt(said(&format!(
                "its tables in the schema {} were changed or dropped: restore them",
                place.quoted
            )))
        }
        c if *c == SqlState::INVALID_PASSWORD
            || *c == SqlState::INVALID_AUTHORIZATION_SPECIFICATION =>
        {
            down(&format!("check the password and the rights of the user {}", place.user()))
        }
        c if *c == SqlState::INVALID_CATALOG_NAME => {
            down(&format!("make the database {} or name another one", place.database()))
        }
        c if *c == SqlState::INSUFFICIENT_PRIVILEGE => down(&format!(
            "grant the user {} CREATE on the database {}, or make the schema {} its own",
            place.user(),
            place.database(),
            place.quoted
        )),
        c if *c == SqlState::TOO_MANY_CONNECTIONS => {
            down("raise max_connections or lower the number of readers")
        }
        c if *c == SqlState::READ_ONLY_SQL_TRANSACTION => {
            down("it is read-only, a standby perhaps: name the server that takes writes")
        }
        c if *c == SqlState::QUERY_CANCELED => down("it took too long: look at its load"),
        _ => down("try again"),
    }
}

/// What is known about a connection that ended without an answer.
fn lost(e: &Error) -> String {
    if let Some(why) = refusal(e) {
        return why;
    }
    let cause = e.source();
    // The crate has no kind for it.
    if cause.is_some_and(|cause| cause.to_string() == "server does not support TLS") {
        return "it does not speak TLS: switch `ssl` on there, or write sslmode=disable".to_owned();
    }
    match cause.and_then(|cause| cause.downcast_ref::<io::Error>()) {
        Some(io) => format!("{e}: {io}: check that it runs, its host and its port"),
        None if e.is_closed() => "the connection was lost: try again".to_owned(),
        None => cause.map_or_else(|| e.to_string(), |cause| format!("{e}: {cause}")),
    }
}

/// Did the server undo everything for a reason that may be gone the next time?
pub(super) fn is_passing(e: &Error) -> bool {
    e.code().is_some_and(|code| {
        *code == SqlState::T_R_SERIALIZATION_FAILURE || *code == SqlState::T_R_DEADLOCK_DETECTED
    })
}

/// Did the server answer, and does the connection go on?
pub(super) fn is_answer(e: &Error) -> bool {
    e.as_db_error().is_some_and(goes_on)
}

/// Does this answer to a COMMIT say that nothing was applied?
///
/// A session that ends may have committed before, and some engines have a code of their own for
/// "unknown".
pub(super) fn is_refusal(e: &Error) -> bool {
    e.as_db_error().is_some_and(|db| {
        let code = db.code().code();
        let ending = code.starts_with("57P") || code.starts_with("08") || code == "40003";
        goes_on(db) && !ending
    })
}

fn goes_on(db: &DbError) -> bool {
    let ends = matches!(db.parsed_severity(), Some(Severity::Fatal | Severity::Panic));
    !ends && !matches!(db.severity(), "FATAL" | "PANIC")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_no_becomes_one_line_that_says_what_to_do() {
        let place = Place::parse("postgres://ann:secret@h:7/db", None).unwrap();
        for (code, kind, todo) in [
            ("53100", "Full", "free space"),
            ("XX001", "Corrupt", "backup"),
            ("42P01", "Corrupt", "schema \"openclaw\""),
            ("28P01", "Unavailable", "the user ann"),
            ("28000", "Unavailable", "the user ann"),
            ("3D000", "Unavailable", "make the database db"),
            ("42501", "Unavailable", "grant the user ann"),
            ("53300", "Unavailable", "max_connections"),
            ("25006", "Unavailable", "standby"),
            ("57014", "Unavailable", "load"),
            ("57P03", "Unavailable", "try again"),
        ] {
            let error = judged(&place, &SqlState::from_code(code), "its\nmessage");
            let line = error.to_string();
            assert!(format!("{error:?}").starts_with(kind), "{code}: {error:?}");
            assert!(line.contains("h:7/db: its message") && line.contains(todo), "{line}");
            assert!(!line.contains("secret") && !line.contains('\n'), "{line}");
        }
    }
}
