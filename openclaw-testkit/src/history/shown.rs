//! A history as text: one line a call.

use std::{collections::BTreeMap, fmt};

use openclaw_core::store::{Commit, Entry, Guard, Key, Op};

use super::{Anomaly, Asked, Call, Heard, places};

type Names<'a> = BTreeMap<&'a Key, String>;

pub(super) fn show(anomaly: &Anomaly, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let Anomaly { calls, order, sure } = anomaly;
    let names: Names<'_> = places(calls).into_iter().map(|(key, at)| (key, name(at))).collect();
    if *sure {
        writeln!(f, "no order of these calls explains their answers:")?;
    } else {
        writeln!(f, "no order of these calls was found; not all were tried:")?;
    }
    for (at, call) in calls.iter().enumerate() {
        let to = call.to.map_or_else(|| "…".to_owned(), |to| to.to_string());
        let place = order.iter().position(|placed| *placed == at);
        let place = place.map_or_else(|| "-".to_owned(), |place| (place + 1).to_string());
        let (asked, heard) = (asked(call, &names), heard(&call.heard));
        writeln!(
            f,
            "{place:>4}. client {} {:>3}–{to:<3} {asked} → {heard}",
            call.client, call.from
        )?;
    }
    writeln!(f, "(numbers in front: the longest order that fits; -: what finds no place in it)")?;
    names.iter().try_for_each(|(key, name)| writeln!(f, "{name} is {key:?}"))
}

/// a, b, …, z, and then by number.
fn name(at: usize) -> String {
    let letter = u8::try_from(at).ok().filter(|at| *at < 26).map(|at| char::from(b'a' + at));
    letter.map_or_else(|| format!("row{at}"), String::from)
}

fn asked(call: &Call, names: &Names<'_>) -> String {
    let name = |key: &Key| names.get(key).map_or("?", String::as_str);
    match &call.asked {
        Asked::Read(keys) => {
            let keys: Vec<&str> = keys.iter().map(name).collect();
            format!("read {}", keys.join(" "))
        }
        Asked::Commit(txn) => {
            let guards = txn.guards.iter().map(|guard| match guard {
                Guard::Absent(key) => format!("no {}?", name(key)),
                Guard::Exists(key) => format!("{}?", name(key)),
                Guard::VersionIs(key, version) => format!("{} at {version}?", name(key)),
            });
            let ops = txn.ops.iter().map(|op| match op {
                Op::Put { key, value, .. } => format!("{} = {}", name(key), text(value)),
                Op::Delete { key } => format!("delete {}", name(key)),
                Op::Add { key, delta, .. } => format!("{} {delta:+}", name(key)),
                Op::Touch { .. } | Op::Append { .. } => format!("{op:?}"),
            });
            guards.chain(ops).collect::<Vec<_>>().join(", ")
        }
    }
}

fn heard(heard: &Heard) -> String {
    let row = |entry: &Option<Entry>| {
        let shown = |entry: &Entry| format!("{} at {}", text(&entry.value), entry.version);
        entry.as_ref().map_or_else(|| "none".to_owned(), shown)
    };
    match heard {
        Heard::Nothing => "nobody knows".to_owned(),
        Heard::Refused => "refused".to_owned(),
        Heard::Rows(rows) => rows.iter().map(row).collect::<Vec<_>>().join("; "),
        Heard::Commit(Commit::Conflict(lost)) => {
            format!("lost at {} against {}", lost.failed, row(&lost.current))
        }
        Heard::Commit(Commit::Applied(applied)) if applied.sums.is_empty() => {
            format!("applied {}", applied.version)
        }
        Heard::Commit(Commit::Applied(applied)) => {
            format!("applied {}, {:?}", applied.version, applied.sums)
        }
    }
}

fn text(value: &[u8]) -> String {
    match (<[u8; 8]>::try_from(value), std::str::from_utf8(value)) {
        (Ok(number), _) => i64::from_be_bytes(number).to_string(),
        (_, Ok(text)) => format!("{text:?}"),
        _ => format!("{} bytes", value.len()),
    }
}
